#include "compose/load/model_loader.hpp"

#include <fmt/format.h>

#include "compose/load/canonical.hpp"
#include "compose/load/interpolate.hpp"
#include "compose/load/merge.hpp"
#include "compose/load/paths.hpp"
#include "compose/load/validate.hpp"
#include "compose/schema/schema.hpp"

namespace compose::load {

std::optional<ReadFile> ModelLoader::open(const std::string& path, const Place& asked, const std::string& asked_path) {
  const auto found = provided_.find(path);
  if (found == provided_.end()) return read_documents(path, asked, asked_path, session_);
  // The trees are large: the first to ask gets them, others (the same -f twice, an extends) have the text read again.
  ReadFile file = std::move(found->second);
  found->second = {};
  found->second.source = file.source;
  if (file.documents.empty()) return parse_source(file.source, session_);
  return file;
}

// Relative to the project directory when paths are to stay relative.
std::string ModelLoader::folder_for(const std::string& directory) const {
  return session_.options.resolve_paths ? directory : relative_path(root_directory_, directory);
}

Value ModelLoader::load(const std::vector<std::string>& files, const Scope& scope, const Place& asked,
                        const std::string& asked_path) {
  Value model = Value::mapping();
  for (const std::string& file : files) merge_file(file, scope, model, asked, asked_path);
  set_defaults(model, session_);
  validate_model(model, session_);
  const bool root = scope.included.empty();
  if (!root || session_.options.resolve_paths) resolve_paths(model, scope.folder, scope.environment, session_);
  resolve_environment_lists(model, scope.environment, session_);
  return model;
}

void ModelLoader::merge_file(const std::string& path, const Scope& scope, Value& model, const Place& asked,
                             const std::string& asked_path) {
  auto file = open(path, asked, asked_path);
  if (!file) return;
  for (ReadDocument& document : file->documents) {
    merge_document(std::move(document.root), document.tagged, path, scope, model);
  }
}

void ModelLoader::merge_document(Value&& document, bool tagged, const std::string& path, const Scope& scope,
                                 Value& model) {
  if (!document.is_mapping()) {
    session_.fail(document, Path{},
                  fmt::format("the top level must be a mapping, not {} (`{}`)", yaml::kind_name(document),
                              yaml::scalar_text(document)),
                  "a Compose file starts with services:");
    return;
  }
  const Value resets = tagged ? take_resets(document) : Value{};
  if (session_.options.interpolate) interpolate(document, scope.environment, session_);
  apply_include(document, resets, path, scope);
  apply_resets(model, resets);
  apply_extends(document, resets, path, scope);
  merge_documents(model, std::move(document), session_);
  keep_unique(model, session_);
  check_schema(model, path);
  canonicalise(model, session_);
  keep_unique(model, session_);
}

void ModelLoader::check_schema(Value& model, const std::string& path) {
  for (schema::Problem& problem : schema::validate(model)) {
    Diagnostic& d = session_.diagnostics.error(problem.place, problem.path, problem.message, problem.hint);
    if (problem.other.known()) d.notes.push_back({problem.other, problem.other_note});
  }
  if (const Entry* version = model.entries().find("version")) {
    if (!version->value.broken) {
      session_.diagnostics.warning(
          version->key_place, "version",
          fmt::format("{}: the attribute `version` is obsolete and ignored", display_name(path, session_)),
          "remove the line");
    }
    model.entries().erase("version");
  }
}

}  // namespace compose::load

// Stage: include. Other Compose files, each with its own project directory and env file, become part of this one.
#include <fmt/format.h>

#include <algorithm>

#include "base/strings.hpp"
#include "compose/load/env_files.hpp"
#include "compose/load/merge.hpp"
#include "compose/load/model_loader.hpp"
#include "compose/load/paths.hpp"

namespace compose::load {
namespace {

// A text or a list of texts, with their places.
std::vector<Value> texts(const Value* value) {
  std::vector<Value> out;
  if (value == nullptr) return out;
  if (value->is_string()) out.push_back(*value);
  if (const Sequence* items = value->if_sequence()) {
    for (const Value& item : *items) {
      if (item.is_string()) out.push_back(item);
    }
  }
  return out;
}

}  // namespace

void ModelLoader::apply_include(Value& document, const Value& resets, const std::string& path, const Scope& scope) {
  Value* list = document.get("include");
  if (list == nullptr) return;
  Value entries = std::move(*list);
  document.entries().erase("include");
  if (entries.is_null() || entries.broken) return;
  Value holder = Value::mapping();
  const Path root;
  const Path at(root, "include");
  if (!entries.is_sequence()) {
    session_.fail(entries, at, fmt::format("`include` must be a list, not {}", yaml::kind_name(entries)),
                  "write include: [file.yaml]");
    return;
  }
  Scope inner = scope;
  inner.included.push_back(path);
  std::size_t index = 0;
  for (Value& entry : entries.items()) include_entry(entry, Path(at, index++), document, resets, inner);
}

void ModelLoader::include_entry(Value& entry, const Path& at, Value& document, const Value& resets,
                                const Scope& scope) {
  if (entry.broken) return;
  const auto paths = entry.is_string() ? texts(&entry) : texts(entry.get("path"));
  if (paths.empty()) {
    session_.fail(entry, at, "an include needs a path", "write the path of a Compose file");
    return;
  }
  std::vector<std::string> files;
  for (const Value& path : paths) files.push_back(join_path(scope.directory, path.as_string()));
  if (std::find(scope.included.begin(), scope.included.end(), files[0]) != scope.included.end()) {
    std::string chain;
    for (const std::string& file : scope.included) chain += display_name(file, session_) + " includes ";
    session_.fail(entry, at, fmt::format("include cycle detected: {}{}", chain, display_name(files[0], session_)));
    return;
  }
  constexpr std::size_t kDeepest = 50;
  if (scope.included.size() > kDeepest) {
    session_.fail(entry, at, fmt::format("more than {} files include one another in a row", kDeepest));
    return;
  }
  std::string directory = parent_path(files[0]);
  const Value* chosen = entry.get("project_directory");
  if (chosen != nullptr && chosen->is_string() && !chosen->as_string().empty()) {
    directory = join_path(scope.directory, chosen->as_string());
  }
  Environment environment = scope.environment;
  std::vector<std::string> env_files;
  const auto named = texts(entry.get("env_file"));
  for (const Value& file : named) {
    if (file.as_string() != "/dev/null") env_files.push_back(join_path(scope.directory, file.as_string()));
  }
  if (named.empty()) {
    const std::string dotenv = join_path(directory, ".env");
    if (session_.files.kind(dotenv) == FileKind::file) env_files.push_back(dotenv);
  }
  const Place asked = named.empty() ? entry.place : named.front().place;
  add_env_files(env_files, asked, at.to_string(), environment, session_);
  const Scope inner{directory, folder_for(directory), environment, scope.included};
  import(load(files, inner, paths[0].place, at.to_string()), document, resets);
}

// What both files define is merged, the including file over the included one.
void ModelLoader::import(Value&& imported, Value& document, const Value& resets) {
  constexpr std::string_view kSections[] = {"services", "volumes", "networks", "secrets", "configs", "models"};
  const Path root;
  for (const std::string_view section : kSections) {
    Value* from = imported.get(section);
    if (from == nullptr || !from->is_mapping()) continue;
    Value* to = document.get(section);
    if (to == nullptr || to->is_null()) {
      document.entries().set(section, Value::mapping(from->place));
      to = document.get(section);
    }
    if (!to->is_mapping()) continue;
    const Path at(root, section);
    const Value* section_resets = resets.get(section);
    for (Entry& entry : from->entries()) {
      session_.traces.add(entry.value, "include", {}, entry.key_place);
      Entry* local = to->entries().find(entry.key);
      if (local == nullptr) {
        to->entries().add(std::move(entry.key), entry.key_place, std::move(entry.value));
        continue;
      }
      const Value* reset = section_resets == nullptr ? nullptr : section_resets->get(local->key);
      if (reset != nullptr) apply_resets(entry.value, *reset);
      merge_at(entry.value, std::move(local->value), Path(at, local->key), session_);
      local->value = std::move(entry.value);
    }
  }
}

}  // namespace compose::load

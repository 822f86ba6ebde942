#include "compose/model/project.hpp"

#include <fmt/format.h>

#include "base/sha256.hpp"
#include "compose/model/from_tree.hpp"
#include "yaml/write.hpp"

namespace compose::model {
namespace {

using yaml::Entry;
using yaml::Value;

constexpr yaml::WriteOptions kCompact{true, false, false};

Value texts(const Strings& list) {
  Value out = Value::sequence();
  for (const std::string& text : list) out.items().push_back(Value::string(text));
  return out;
}

// {"file": [["path", line, column], ...]}: the file names once.
Value write_positions(const Positions& positions) {
  Value out = Value::mapping();
  for (const auto& [path, pos] : positions.all()) {
    Value* list = out.entries().get(pos.file);
    if (list == nullptr) {
      out.entries().set(pos.file, Value::sequence());
      list = out.entries().get(pos.file);
    }
    Value item = Value::sequence();
    item.items().push_back(Value::string(path));
    item.items().push_back(Value::integer(pos.line));
    item.items().push_back(Value::integer(pos.column));
    list->items().push_back(std::move(item));
  }
  return out;
}

bool read_positions(const Value& tree, Positions& out) {
  for (const Entry& file : tree.entries()) {
    if (!file.value.is_sequence()) return false;
    for (const Value& item : file.value.items()) {
      const yaml::Sequence* parts = item.if_sequence();
      if (parts == nullptr || parts->size() != 3 || !(*parts)[0].is_string()) return false;
      if (!(*parts)[1].is_integer() || !(*parts)[2].is_integer()) return false;
      out.set((*parts)[0].as_string(), {file.key, static_cast<std::uint32_t>((*parts)[1].as_integer()),
                                        static_cast<std::uint32_t>((*parts)[2].as_integer())});
    }
  }
  return true;
}

Strings read_texts(const Value* tree) {
  Strings out;
  if (tree == nullptr || !tree->is_sequence()) return out;
  for (const Value& item : tree->items()) out.push_back(yaml::scalar_text(item));
  return out;
}

void read_context(const Value& context, Project& project) {
  if (const Value* text = context.get("working_dir")) project.working_dir = yaml::scalar_text(*text);
  project.files = read_texts(context.get("files"));
  project.profiles = read_texts(context.get("profiles"));
  const Value* environment = context.get("environment");
  if (environment == nullptr || !environment->is_mapping()) return;
  for (const Entry& entry : environment->entries()) project.environment[entry.key] = yaml::scalar_text(entry.value);
}

}  // namespace

std::string SourcePos::to_string() const { return known() ? fmt::format("{}:{}:{}", file, line, column) : ""; }

std::int64_t Service::replicas() const {
  if (scale) return *scale;
  return deploy && deploy->replicas ? *deploy->replicas : 1;
}

void Positions::set(std::string path, const SourcePos& pos) { places_.insert_or_assign(std::move(path), pos); }

SourcePos Positions::where(std::string_view path) const {
  for (;;) {
    if (const auto found = places_.find(path); found != places_.end()) return found->second;
    const auto cut = path.find_last_of(".[");
    if (cut == std::string_view::npos) return {};
    path = path.substr(0, cut);
  }
}

std::string project_to_json(const Project& project) {
  Value root = tree_of(project);
  Value context = Value::mapping();
  context.entries().set("working_dir", Value::string(project.working_dir));
  context.entries().set("files", texts(project.files));
  context.entries().set("profiles", texts(project.profiles));
  Value environment = Value::mapping();
  for (const auto& [name, value] : project.environment) environment.entries().add(name, {}, Value::string(value));
  context.entries().set("environment", std::move(environment));
  context.entries().set("positions", write_positions(project.positions));
  Value disabled = Value::mapping();
  for (const auto& [name, service] : project.disabled_services) disabled.entries().add(name, {}, tree_of(service));
  context.entries().set("disabled_services", std::move(disabled));
  root.entries().set("#context", std::move(context));
  return yaml::to_json(root, kCompact);
}

Result<Project> project_from_json(std::string_view canonical_json) {
  Value root;
  if (!yaml::from_json(canonical_json, root) || !root.is_mapping()) {
    return make_error(Errc::corrupt, "the project is not valid JSON");
  }
  const Value none = Value::mapping();
  const Value* context = root.get("#context");
  const Value* disabled = context == nullptr ? nullptr : context->get("disabled_services");
  TRY_ASSIGN(Project project, project_from_tree(root, disabled == nullptr ? none : *disabled, {}));
  if (context == nullptr) return project;
  read_context(*context, project);
  const Value* positions = context->get("positions");
  if (positions != nullptr && (!positions->is_mapping() || !read_positions(*positions, project.positions))) {
    return make_error(Errc::corrupt, "the project's positions are not readable");
  }
  return project;
}

std::string service_to_json(const Service& service) { return yaml::to_json(tree_of(service), kCompact); }

std::string config_hash(const Project&, const Service& service) {
  Value tree = tree_of(service);
  for (const std::string_view key : {"build", "pull_policy", "scale", "depends_on", "profiles"}) {
    tree.entries().erase(key);
  }
  if (Value* deploy = tree.get("deploy")) {
    deploy->entries().erase("replicas");
    if (deploy->entries().empty()) tree.entries().erase("deploy");
  }
  return sha256_hex(yaml::to_json(tree, kCompact));
}

}  // namespace compose::model

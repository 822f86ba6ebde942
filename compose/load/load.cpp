#include "compose/load/load.hpp"

#include <fmt/format.h>

#include "base/strings.hpp"
#include "compose/load/canonical.hpp"
#include "compose/load/env_files.hpp"
#include "compose/load/interpolate.hpp"
#include "compose/load/model_loader.hpp"
#include "compose/load/normalize.hpp"
#include "compose/load/paths.hpp"
#include "compose/load/project_files.hpp"
#include "compose/load/select.hpp"
#include "compose/load/shape.hpp"
#include "compose/load/validate.hpp"
#include "compose/model/from_tree.hpp"

namespace compose::load {
namespace {

class Loader {
 public:
  Loader(const Options& options, FileSource& files)
      : options_{options}, session_{options, files, {}, {}, Traces(options.trace), 0} {}

  LoadResult run() {
    if (auto found = find_project_files(session_)) {
      found_ = std::move(*found);
      read_files();
      if (choose_name()) load_model();
    }
    return finish();
  }

 private:
  void read_files() {
    for (const std::string& file : found_.files) {
      if (read_.contains(file)) continue;
      auto read = read_documents(file, {}, {}, session_);
      if (read) {
        read_.emplace(file, std::move(*read));
      } else {
        incomplete_ = true;
      }
    }
    incomplete_ = incomplete_ || !session_.diagnostics.ok();
  }

  // -p, else COMPOSE_PROJECT_NAME, else the last file that has a name, else the folder.
  bool choose_name() {
    std::string given = options_.project_name;
    if (given.empty()) given = found_.environment.value_or("COMPOSE_PROJECT_NAME", "");
    if (!given.empty()) {
      if (normalize_project_name(given) != given) {
        session_.diagnostics.error(
            {}, "name",
            fmt::format("invalid project name \"{}\": must consist only of lowercase alphanumeric "
                        "characters, hyphens, and underscores as well as start with a letter or "
                        "number",
                        given),
            fmt::format("try \"{}\"", normalize_project_name(given)));
        return false;
      }
      name_ = std::move(given);
    } else {
      name_from_files();
    }
    found_.environment.set("COMPOSE_PROJECT_NAME", {name_, "project name", {}});
    if (!name_.empty() || incomplete_) return true;
    session_.diagnostics.error({}, "name", "project name must not be empty", "set name: in the file, or use -p");
    return false;
  }

  void name_from_files() {
    std::optional<Value> named;
    for (const std::string& file : found_.files) {
      const auto read = read_.find(file);
      if (read == read_.end()) continue;
      for (const ReadDocument& document : read->second.documents) {
        const Value* name = document.root.get("name");
        if (name != nullptr && name->is_scalar() && !name->is_null() && !yaml::scalar_text(*name).empty())
          named = *name;
      }
    }
    if (!named) {
      name_ = normalize_project_name(base_name(found_.directory));
      return;
    }
    const Path root;
    if (options_.interpolate) interpolate_scalar(*named, Path(root, "name"), found_.environment, session_);
    name_ = normalize_project_name(yaml::scalar_text(*named));
  }

  void load_model() {
    ModelLoader loader(session_, found_.directory);
    for (auto& [path, file] : read_) {
      any_source_ = file.source;
      loader.provide(path, std::move(file));
    }
    const Scope scope{found_.directory, found_.directory, found_.environment, {}};
    model_ = loader.load(found_.files, scope);
    if (model_.entries().empty() && session_.diagnostics.ok()) {
      session_.diagnostics.error({any_source_, 1, 1}, {}, "empty compose file", "a Compose file starts with services:");
      return;
    }
    if (options_.normalize) normalize(model_, name_, found_.environment, session_);
    if (!options_.interpolate) {
      if (options_.normalize) model_.entries().set("name", Value::string(name_));
      return;
    }
    finish_project();
  }

  void finish_project() {
    model_.entries().set("name", Value::string(name_));
    const Declared declared = collect_declared(model_);
    shape_project(model_, session_);
    if (model_.get("services") == nullptr) model_.entries().set("services", Value::mapping());
    profiles_ = options_.profiles;
    if (profiles_.empty()) {
      for (const std::string& name : split(found_.environment.value_or("COMPOSE_PROFILES", ""), ',')) {
        profiles_.emplace_back(trim(name));
      }
    }
    disabled_ = Value::mapping();
    split_by_profiles(model_, disabled_, profiles_);
    if (options_.consistency && !incomplete_) check_consistency(model_, disabled_, declared, session_);
    if (!options_.consistency) hide_extension_networks(*model_.get("services"));
    select_services(model_, disabled_, options_.services, profiles_, session_);
    if (!options_.keep_unused) drop_unused(model_);
    if (options_.resolve_environment) {
      resolve_service_files(*model_.get("services"), found_.environment, session_);
    }
  }

  // Docker Compose takes a service's networks named "x-..." for extensions and refuses the project for it. We do not,
  // but without the checks the output is to be the same.
  static void hide_extension_networks(Value& services) {
    for (Entry& service : services.entries()) {
      Value* networks = service.value.get("networks");
      if (networks == nullptr || !networks->is_mapping()) continue;
      const std::size_t all = networks->entries().size();
      networks->entries().filter([](const Entry& entry) { return !entry.key.starts_with("x-"); });
      if (networks->entries().size() != all) networks->entries().set("#extensions", Value::mapping());
    }
  }

  LoadResult finish() {
    LoadResult out;
    session_.diagnostics.sort();
    std::erase_if(profiles_, [](const std::string& name) { return name.empty(); });
    if (options_.want_project && options_.interpolate && session_.diagnostics.ok() && model_.is_mapping()) {
      out.project = make_project();
    }
    hide_contents(model_);
    out.canonical = std::move(model_);
    out.disabled = std::move(disabled_);
    out.diagnostics = std::move(session_.diagnostics);
    out.sources = std::move(session_.sources);
    out.traces = std::move(session_.traces);
    out.project_name = std::move(name_);
    out.working_dir = std::move(found_.directory);
    out.files = std::move(found_.files);
    out.profiles = std::move(profiles_);
    out.environment = std::move(found_.environment);
    return out;
  }

  std::optional<model::Project> make_project() {
    const auto describe = [this](const Place& place) {
      const Source* source = session_.sources.get(place.source);
      if (source == nullptr) return model::SourcePos{};
      return model::SourcePos{source->name, place.line, place.column};
    };
    Result<model::Project> project = model::project_from_tree(model_, disabled_, describe);
    if (!project) {
      session_.diagnostics.error({}, {}, project.error().message());
      return std::nullopt;
    }
    project->working_dir = found_.directory;
    project->files = found_.files;
    project->profiles = profiles_;
    for (const auto& [name, variable] : found_.environment.all()) project->environment.emplace(name, variable.value);
    return std::move(project).value();
  }

  static void hide_contents(Value& model) {
    for (const std::string_view section : {"secrets", "configs"}) {
      Value* objects = model.get(section);
      if (objects == nullptr || !objects->is_mapping()) continue;
      for (Entry& entry : objects->entries()) {
        if (entry.value.is_mapping()) entry.value.entries().erase(kHiddenContent);
      }
    }
  }

  const Options& options_;
  Session session_;
  ProjectFiles found_;
  std::map<std::string, ReadFile> read_;
  std::string name_;
  std::vector<std::string> profiles_;
  Value model_ = Value::mapping();
  Value disabled_ = Value::mapping();
  std::uint32_t any_source_ = 0;
  bool incomplete_ = false;  // a file or document is missing: what refers to it is no mistake
};

}  // namespace

LoadResult load(const Options& options, FileSource& files) { return Loader(options, files).run(); }

}  // namespace compose::load

#include "compose/load/project_files.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.hpp"
#include "compose/load/env_files.hpp"
#include "compose/load/paths.hpp"

namespace compose::load {
namespace {

constexpr std::string_view kNames[] = {"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"};
constexpr std::string_view kOverrides[] = {"compose.override.yml", "compose.override.yaml",
                                           "docker-compose.override.yml", "docker-compose.override.yaml"};

class Finder {
 public:
  explicit Finder(Session& session) : session_{session}, options_{session.options} {}

  std::optional<ProjectFiles> run() {
    look();
    if (found_.files.empty()) {
      session_.diagnostics.error({}, {}, "no configuration file provided: not found",
                                 "write a compose.yaml, or name your file with -f");
      return std::nullopt;
    }
    found_.directory = working_directory();
    for (std::string& file : found_.files) file = absolute(file);
    return session_.diagnostics.ok() ? std::optional(std::move(found_)) : std::nullopt;
  }

  Environment environment() {
    look();
    return std::move(found_.environment);
  }

 private:
  void look() {
    for (const auto& [name, value] : options_.env) found_.environment.set(name, {value, "shell", {}});
    found_.files = options_.files;
    if (!options_.project_directory.empty()) directory_ = absolute(options_.project_directory);
    const std::vector<std::string> named = named_env_files();
    // Once for COMPOSE_FILE and the like, which an env file may set; again when the files have shown the directory.
    read_env_files(named);
    from_variable();
    discover();
    if (named.empty() && working_directory() != first_directory_) read_env_files(named);
  }

  std::string absolute(const std::string& path) const {
    return path == "-" ? path : join_path(options_.working_dir, path);
  }

  std::string working_directory() const {
    if (!directory_.empty()) return directory_;
    for (const std::string& file : found_.files) {
      if (file != "-") return parent_path(absolute(file));
    }
    return clean_path(options_.working_dir);
  }

  std::vector<std::string> named_env_files() const {
    std::vector<std::string> files = options_.env_files;
    if (files.empty()) {
      const std::string list = found_.environment.value_or("COMPOSE_ENV_FILES", "");
      if (!list.empty()) files = split(list, ',');
    }
    for (std::string& file : files) file = absolute(file);
    return files;
  }

  void read_env_files(const std::vector<std::string>& named) {
    std::vector<std::string> files = named;
    if (files.empty()) {
      first_directory_ = working_directory();
      const std::string off = to_lower(found_.environment.value_or("COMPOSE_DISABLE_ENV_FILE", ""));
      if (off == "1" || off == "t" || off == "true") return;
      const std::string dotenv = join_path(first_directory_, ".env");
      const FileKind kind = session_.files.kind(dotenv);
      if (kind == FileKind::missing || kind == FileKind::directory) return;
      files.push_back(dotenv);
    }
    add_env_files(files, {}, {}, found_.environment, session_);
  }

  void from_variable() {
    if (!found_.files.empty()) return;
    const Variable* variable = found_.environment.find("COMPOSE_FILE");
    if (variable == nullptr || variable->value.empty()) return;
    std::string separator = found_.environment.value_or("COMPOSE_PATH_SEPARATOR", "");
    if (separator.empty()) separator.assign(1, ':');
    std::string_view rest = variable->value;
    for (;;) {
      const auto end = rest.find(separator);
      found_.files.emplace_back(rest.substr(0, end));
      if (end == std::string_view::npos) break;
      rest.remove_prefix(end + separator.size());
    }
  }

  std::vector<std::string> present(std::span<const std::string_view> names, const std::string& folder) {
    std::vector<std::string> out;
    for (const std::string_view name : names) {
      std::string path = join_path(folder, name);
      if (session_.files.kind(path) != FileKind::missing) out.push_back(std::move(path));
    }
    return out;
  }

  void choose(const std::vector<std::string>& candidates, std::string_view what) {
    found_.files.push_back(candidates.front());
    if (candidates.size() < 2) return;
    session_.diagnostics.warning({}, {},
                                 fmt::format("found multiple {} files with supported names: {}; using {}", what,
                                             join(candidates, ", "), candidates.front()));
  }

  void discover() {
    if (!found_.files.empty()) return;
    for (std::string folder = working_directory();; folder = parent_path(folder)) {
      const auto candidates = present(kNames, folder);
      if (!candidates.empty()) {
        choose(candidates, "config");
        const auto overrides = present(kOverrides, folder);
        if (!overrides.empty()) choose(overrides, "override");
        return;
      }
      if (folder == "/") return;
    }
  }

  Session& session_;
  const Options& options_;
  ProjectFiles found_;
  std::string directory_;
  std::string first_directory_;
};

}  // namespace

std::optional<ProjectFiles> find_project_files(Session& session) { return Finder(session).run(); }

Environment starting_environment(const Options& options, FileSource& files) {
  Session session{options, files, {}, {}, Traces{false}};
  return Finder(session).environment();
}

std::string normalize_project_name(std::string_view name) {
  std::string out;
  for (const char c : to_lower(name)) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (word || (!out.empty() && (c == '_' || c == '-'))) out += c;
  }
  return out;
}

}  // namespace compose::load

#include "cli/globals.hpp"

#include <cstdlib>

#include "base/strings.hpp"
#include "cli/project_loading.hpp"
#include "cli/rootless.hpp"
#include "compose/load/disk_files.hpp"
#include "compose/load/project_files.hpp"

namespace compose::cli {
namespace {

/// What the command line itself reads, and .env may set. Not COMPOSE_ROOT: a folder one works in does not move the
/// images of the host.
constexpr std::string_view kFromDotenv[] = {
    "COMPOSE_ANSI",           "COMPOSE_COMPATIBILITY",  "COMPOSE_IGNORE_ORPHANS",
    "COMPOSE_MENU",           "COMPOSE_PARALLEL_LIMIT", "COMPOSE_PROGRESS",
    "COMPOSE_REMOVE_ORPHANS", "COMPOSE_STATUS_STDOUT",  "DOCKER_DEFAULT_PLATFORM"};

/// Sets the variables of .env, and of the files that stand for it, that the environment does not have.
void take_dotenv(const GlobalOptions& options) {
  load::DiskFiles files;
  const load::Environment variables = load::starting_environment(load_options(options), files);
  for (const std::string_view name : kFromDotenv)
    if (const load::Variable* variable = variables.find(name))
      ::setenv(std::string{name}.c_str(), variable->value.c_str(), 0);
}

}  // namespace

std::vector<Flag> global_flags(GlobalOptions& options) {
  return {
      {"file", 'f', &options.files, "Compose file; may be given several times, later ones override", "FILE"},
      {"project-name", 'p', &options.project_name, "Project name", "NAME"},
      {"profile", 0, &options.profiles, "Enable a profile; \"*\" enables all", "NAME"},
      {"env-file", 0, &options.env_files, "File with variables for interpolation instead of .env", "FILE"},
      {"project-directory", 0, &options.project_directory, "Folder that relative paths start from", "DIR"},
      {"progress", 0, &options.progress, "How progress is shown: auto, tty, plain, json, quiet", "MODE"},
      {"ansi", 0, &options.ansi, "When to use escape sequences: auto, always, never", "WHEN"},
      {"parallel", 0, &options.parallel, "How many builds may run at once, -1 for no limit", "N"},
      {"dry-run", 0, &options.dry_run, "Show what would be done and do nothing"},
      {"compatibility", 0, &options.compatibility, "Name containers with \"_\" as Compose v1 did"},
      {"all-resources", 0, &options.all_resources, "Include networks, volumes and secrets no service uses"},
      {"root", 0, &options.root, "Where images, volumes and containers are kept", "DIR"},
      {"run-root", 0, &options.run_root, "Where sockets and other run-time files are kept", "DIR"},
      {"verbose", 0, &options.verbose, "Say what is loaded and asked of the supervisor", {}, true},
      {"no-ansi", 0, &options.no_ansi, "Old spelling of --ansi never", {}, true},
      {"workdir", 0, &options.workdir, "Old spelling of --project-directory", "DIR", true},
      {"insecure-registry", 0, &options.insecure_registries, "Registry without TLS for files kept as OCI artifacts",
       "HOST", true, "Compose files are not read from registries, so there is no registry to talk to"},
      {"help", 'h', &options.help, "Show this help"},
  };
}

std::string environment_text(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string{} : std::string{value};
}

bool environment_bool(const char* name, bool fallback) {
  const std::string value = to_lower(environment_text(name));
  if (value == "1" || value == "t" || value == "true" || value == "y" || value == "yes") return true;
  if (value == "0" || value == "f" || value == "false" || value == "n" || value == "no") return false;
  return fallback;
}

Result<void> apply_environment(GlobalOptions& options) {
  const auto fallback = [](std::string& value, const char* name, const char* last) {
    if (value.empty()) value = environment_text(name);
    if (value.empty()) value = last;
  };
  if (options.project_directory.empty()) options.project_directory = options.workdir;
  take_dotenv(options);
  fallback(options.progress, "COMPOSE_PROGRESS", "auto");
  if (options.no_ansi) options.ansi = "never";
  fallback(options.ansi, "COMPOSE_ANSI", "auto");
  const bool own = rootless::needed();
  fallback(options.root, "COMPOSE_ROOT", own ? rootless::default_root().c_str() : "/var/lib/compose");
  fallback(options.run_root, "COMPOSE_RUN_ROOT", own ? rootless::default_run_root().c_str() : "/run/compose");
  if (!options.compatibility) options.compatibility = environment_bool("COMPOSE_COMPATIBILITY");
  if (!options.parallel) {
    const std::string limit = environment_text("COMPOSE_PARALLEL_LIMIT");
    if (!limit.empty()) {
      const auto number = parse_signed(limit);
      if (!number) return make_error(Errc::invalid, "COMPOSE_PARALLEL_LIMIT must be an integer (found: \"{}\")", limit);
      options.parallel = static_cast<int>(*number);
    }
  }
  TRY_ASSIGN(options.progress_mode, parse_progress_mode(options.progress));
  if (options.ansi == "never") {
    options.ansi_mode = Ansi::never;
  } else if (options.ansi == "always") {
    options.ansi_mode = Ansi::always;
  } else if (options.ansi != "auto") {
    return make_error(Errc::invalid, "unknown --ansi value \"{}\" (never, always, auto)", options.ansi);
  }
  for (std::string* path : {&options.root, &options.run_root}) {
    if (path->starts_with('/')) continue;
    char* absolute = ::realpath(".", nullptr);
    if (absolute == nullptr) return os_error("finding the current directory");
    *path = std::string{absolute} + "/" + *path;
    std::free(absolute);
  }
  return {};
}

}  // namespace compose::cli

#pragma once
// What a load is asked for: the command line's flags and the process's environment, as values.
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace compose::load {

struct Options {
  /// -f, in order; "-" is standard input, relative ones are relative to working_dir. Empty: COMPOSE_FILE, else the
  /// default names in working_dir and the folders above it.
  std::vector<std::string> files;
  std::map<std::string, std::string> env;  ///< the process's environment
  std::string working_dir = "/";           ///< absolute
  std::string project_name;                ///< -p
  std::string project_directory;           ///< --project-directory
  std::vector<std::string> profiles;       ///< --profile; empty: COMPOSE_PROFILES
  std::vector<std::string> env_files;      ///< --env-file; empty: COMPOSE_ENV_FILES, else .env
  std::vector<std::string> services;       ///< those to keep, with their dependencies; empty: all

  // What `config`'s --no-* flags turn off.
  bool interpolate = true;
  bool normalize = true;
  bool resolve_paths = true;
  bool consistency = true;
  bool resolve_environment = true;

  bool keep_unused = false;  ///< networks, volumes, ... that no service uses stay
  bool trace = false;        ///< record how every value came to be, for `config --explain`
  bool want_project = true;  ///< fill LoadResult::project too, not only the canonical tree
};

}  // namespace compose::load

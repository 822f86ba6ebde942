#pragma once
// Stage: discovery. Which files make the project, where its directory is, which variables it starts from.
#include <optional>
#include <string>
#include <vector>

#include "compose/load/session.hpp"

namespace compose::load {

struct ProjectFiles {
  std::vector<std::string> files;  ///< absolute, or "-"
  std::string directory;           ///< absolute
  Environment environment;         ///< shell over env files
};

/// Nothing when there is no file to load (reported).
std::optional<ProjectFiles> find_project_files(Session& session);

/// The variables that a load with these options starts from, for callers that want some of them before. What is wrong
/// with the files that hold them, the load says.
Environment starting_environment(const Options& options, FileSource& files);

/// Lower case letters, digits, '-' and '_' only, the first a letter or digit: what of `name` fits that.
std::string normalize_project_name(std::string_view name);

}  // namespace compose::load

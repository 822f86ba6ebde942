#pragma once
// Loads a project: files, environment and flags in, a typed project and every problem out. Pure: files come through
// the FileSource alone. The stages, in the order of the data: project_files, read_document, interpolate, include,
// extends, merge and unique, compose/schema, canonical, validate, paths, normalize, shape, select, consistency,
// env_files.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "compose/load/diagnostics.hpp"
#include "compose/load/environment.hpp"
#include "compose/load/file_source.hpp"
#include "compose/load/options.hpp"
#include "compose/load/session.hpp"
#include "compose/model/project.hpp"

namespace compose::load {

struct LoadResult {
  /// The typed project; nothing when there were errors, or Options asked for none.
  std::optional<model::Project> project;
  /// The canonical tree, as `config` prints it; what could be made of the files when there were errors.
  Value canonical;
  Value disabled;  ///< the services left out, by name
  Diagnostics diagnostics;
  Sources sources;
  Traces traces{false};
  std::string project_name;
  std::string working_dir;
  std::vector<std::string> files;
  std::vector<std::string> profiles;
  Environment environment;

  bool ok() const { return diagnostics.ok(); }
  /// What a terminal should show of the problems.
  std::string report() const { return render_text(diagnostics, sources); }
};

LoadResult load(const Options& options, FileSource& files);

}  // namespace compose::load

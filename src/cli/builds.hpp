#pragma once
// Building the images of services that have `build`.
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cli/context.hpp"

namespace compose::cli {

/// Ends builds before they are done: `asked` is called in another thread whenever `fd` is readable, and takes what is
/// there to read.
struct BuildStop {
  int fd = -1;
  std::function<bool()> asked = {};
};

struct BuildSettings {
  Strings build_args = {};  ///< "NAME=value", or "NAME" taken from the environment
  bool no_cache = false;
  bool pull = false;
  bool quiet = false;           ///< no output of the steps
  bool one_platform = false;    ///< of several only the service's, or this machine's
  std::string provenance = {};  ///< --provenance and --sbom: instead of the keys of `build:`
  std::string sbom = {};
  Strings ssh = {};  ///< "default" or "ID=SOCKET", besides build.ssh
  BuildStop stop = {};
};

/// Builds the services' images, those first that others are built from, as many at once as --parallel allows.
/// service -> image id. Errc::cancelled after Ctrl-C, or when `settings.stop` asked for it.
Result<std::map<std::string, std::string>> build_services(Context& context, const model::Project& project,
                                                          const Strings& services, const BuildSettings& settings);

}  // namespace compose::cli

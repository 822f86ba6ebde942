#pragma once
// Images of services: building those that have `build`, finding the others in the store.
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
  std::string provenance = {};  ///< --provenance and --sbom: instead of the keys of `build:`
  std::string sbom = {};
  Strings ssh = {};  ///< "default" or "ID=SOCKET", besides build.ssh
  BuildStop stop = {};
};

/// "PROJECT-SERVICE" unless the service names its image.
std::string image_name(const Context& context, const model::Project& project, const model::Service& service);

/// The services and what they depend on (all when `services` is empty), sorted.
Strings with_dependencies(const model::Project& project, const Strings& services);

/// Builds the services' images, those first that others are built from, as many at once as --parallel allows.
/// service -> image id. Errc::cancelled after Ctrl-C, or when `settings.stop` asked for it.
Result<std::map<std::string, std::string>> build_services(Context& context, const model::Project& project,
                                                          const Strings& services, const BuildSettings& settings);

struct ImageSettings {
  bool build = false;     ///< --build: also those whose image is there
  bool no_build = false;  ///< --no-build
  std::string pull;       ///< --pull: "", or any pull_policy
  bool quiet_pull = false;
  bool quiet_build = false;
  BuildStop stop = {};
};

/// The image id of each of `services`: pulled as its pull policy wants (see wants_pull), or built. A service that can
/// be built is pulled first only when its image names a registry, or its policy says so; if that fails it is built. An
/// image that cannot be had is an error that names the service, the place in the files and the next step; all at once.
Result<std::map<std::string, std::string>> resolve_images(Context& context, const model::Project& project,
                                                          const Strings& services, const ImageSettings& settings);

}  // namespace compose::cli

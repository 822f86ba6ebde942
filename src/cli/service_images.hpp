#pragma once
// The images of services: what they are called, finding them in the store, and getting those that are not there.
#include <map>
#include <string>

#include "cli/builds.hpp"
#include "cli/context.hpp"

namespace compose::cli {

/// The name as people write it: without what is usual.
std::string familiar(const std::string& name);

/// A service of the project, also one that no profile has enabled. It must be one of its names.
const model::Service& service_of(const model::Project& project, const std::string& name);

/// "PROJECT-SERVICE" unless the service names its image.
std::string image_name(const Context& context, const model::Project& project, const model::Service& service);

/// The services and what they depend on (all when `services` is empty), sorted.
Strings with_dependencies(const model::Project& project, const Strings& services);

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

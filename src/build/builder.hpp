#pragma once
// Builds images from Dockerfiles: https://docs.docker.com/reference/dockerfile/ and the specification's build.md.
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "compose/model/build.hpp"
#include "image/store.hpp"

namespace compose::runtime::spec {
struct Spec;
}

namespace compose::image::registry {
class Registry;
}

namespace compose::build {

/// What a build reports while it goes. Steps are numbered in the order they begin, from 1.
struct BuildEvent {
  enum class Kind {
    started,  ///< `name` is "[php 2/7] RUN apt-get update"
    cached,   ///< the step's result was there already
    output,   ///< `text` is one line the step wrote, without its line feed
    done,
    failed,
    warning,  ///< `text` names the Dockerfile's line; `step` is 0
  };
  Kind kind = Kind::started;
  int step = 0;
  std::string name;
  std::string text;
  bool standard_error = false;  ///< output: where it was written
  double seconds = 0;           ///< done, failed
};
/// Called from the threads of a build, never from two at once.
using BuildProgress = std::function<void(const BuildEvent&)>;

/// What one of `build.secrets` gives: a file of the host, or the bytes.
struct BuildSecret {
  std::string file;
  std::optional<std::string> content;
};

/// The registry client, made at the first need.
using OpenRegistry = std::function<Result<image::registry::Registry*>()>;

class Runner;

/// Ends builds from another thread, for good: what runs is killed, and build() gives Errc::cancelled.
class Cancellation {
 public:
  void cancel();
  bool cancelled() const;

 private:
  friend class RunnerInUse;
  mutable std::mutex mutex_;
  bool cancelled_ = false;
  std::set<Runner*> runners_;
};

struct BuildRequest {
  model::Build build;                               ///< context and dockerfile resolved by the loader
  std::string context_dir;                          ///< absolute; empty: build.context
  std::vector<std::string> tags;                    ///< names for the result, besides build.tags
  bool no_cache = false;                            ///< or build.no_cache
  bool pull = false;                                ///< ask the registry for newer base images
  std::map<std::string, BuildSecret> secrets;       ///< by the name used in build.secrets[].source
  std::map<std::string, std::string> named_images;  ///< "service:NAME" of additional_contexts → image name or id
  std::map<std::string, std::string> proxy_args;    ///< HTTP_PROXY and its like, given to RUN but not to the cache key
  std::string run_root;  ///< run-time root for the RUN steps' containers; empty: <store root>/tmp
  /// Last changes to the configuration of the RUN steps' containers: the seccomp profile (container::resolve_seccomp)
  /// lives above this layer, so the caller puts it in.
  std::function<Result<void>(runtime::spec::Spec&)> finish_spec;
  BuildProgress progress;
  OpenRegistry registry;                 ///< for cache_from and cache_to; it outlives the build
  Cancellation* cancellation = nullptr;  ///< may be null
};

/// Fetches a base image the store does not have. Without one such an image is an error.
using PullImage = std::function<Result<image::Image>(const std::string& name, const std::string& platform)>;

/// A context that lies elsewhere (build.context is a git repository, an archive's URL or a Dockerfile's URL), fetched;
/// removed with the object. Sets context_dir, and dockerfile_inline for a lone Dockerfile. Nothing for a folder.
class RemoteContext;
Result<std::shared_ptr<RemoteContext>> fetch_remote_context(BuildRequest& request, image::Store& store);

/// What `build --check` finds in the request's Dockerfile: text for people, "" when nothing. A file that cannot be
/// built is an error.
struct CheckReport {
  std::string text;
  std::size_t warnings = 0;
};
Result<CheckReport> check_dockerfile(const BuildRequest& request);

/// Refuses what `build:` asks for and no build here can give: other platforms, attestations, another isolation,
/// entitlements nobody knows. Errors name the key.
Result<void> check_build_keys(const model::Build& build);

/// Takes away what builders that were killed have left: their steps' processes, unfinished work, the network.
Result<void> sweep(image::Store& store, const std::string& run_root);

/// Removes the results of steps, what RUN --mount=type=cache keeps, and what is known of contexts' files; the layers go
/// with the next Store::prune(). Errc::busy while somebody builds, loads or pulls.
Result<void> drop_cache(image::Store& store);

/// Builds one image and gives it its names. Safe beside other builds in other threads and processes: steps that two
/// builds share are then done once or give the same layer. Errors name the Dockerfile, the line and its text:
///   web.Dockerfile:3: RUN make: exit code 2
Result<image::Image> build(const BuildRequest& request, image::Store& store, const PullImage& pull = {});

/// The same with RUN steps given to `runner`, for tests.
Result<image::Image> build_for_test(const BuildRequest& request, image::Store& store, Runner& runner);

/// Names of the images that FROM and COPY --from need and no stage of the file provides: what has to be there, or
/// to be built, before. Only stages that `build.target` reaches count.
Result<std::vector<std::string>> base_images(const BuildRequest& request);

}  // namespace compose::build

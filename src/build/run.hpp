#pragma once
// RUN: one command in a container of our own runtime whose upper directory becomes the layer.
//
// The network is a namespace of the step's own (build/network.hpp), the host's, or none; the rest is as Docker's build
// containers: own pid, mount, ipc, uts and cgroup namespaces, default capabilities, masked and read-only paths.
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "compose/model/values.hpp"

namespace compose::runtime::spec {
struct Spec;
}

namespace compose::build {

class BuildNetwork;

/// Above the control groups of steps.
inline const std::string kGroups = "/compose/build/";

/// Last changes to the container's configuration: the caller adds the seccomp profile, which lives above this layer.
using FinishSpec = std::function<Result<void>(runtime::spec::Spec&)>;

struct RunMount {
  enum class Kind { folder, file, tmpfs, overlay };
  Kind kind = Kind::folder;
  std::string target;              ///< absolute
  std::string source;              ///< on the host, for folder and file
  std::vector<std::string> lower;  ///< overlay: layers, top first
  std::string upper;               ///< overlay: where writes go, with "-work" behind it for overlayfs; empty: read-only
  bool read_only = false;
  std::optional<std::int64_t> size;  ///< tmpfs: bytes
};

struct RunRequest {
  std::string id;                  ///< of the container; names its cgroup too
  std::string workspace;           ///< folder of our own for bundle, work dir and run-time state
  std::string upper;               ///< becomes the layer
  std::vector<std::string> lower;  ///< top first; empty for FROM scratch
  std::vector<std::string> arguments;
  std::vector<std::string> environment;
  std::string user;
  std::string working_dir;
  std::vector<RunMount> mounts;
  enum class Network { own, host, none };
  Network network = Network::own;
  std::string network_namespace;  ///< a path; set by the runner
  std::string gateway;            ///< what "host-gateway" of extra_hosts means; set by the runner
  bool privileged = false;
  std::map<std::string, model::Strings> extra_hosts;
  std::map<std::string, model::Ulimit> ulimits;
  std::optional<std::int64_t> shm_size;
  FinishSpec finish_spec;
};

using OutputLine = std::function<void(std::string_view line, bool standard_error)>;

class Runner {
 public:
  virtual ~Runner() = default;
  /// Runs to the end; returns the exit code (128 + n for a signal). Errors are those of starting it.
  virtual Result<int> run(const RunRequest& request, const OutputLine& output) = 0;
  /// Ends what runs in other threads, and every later run() at once, with Errc::cancelled.
  virtual void cancel() {}
};

/// Runs steps by compose-runtime.
class RuntimeRunner : public Runner {
 public:
  /// `network` gives steps their own; it must outlive the runner.
  explicit RuntimeRunner(BuildNetwork& network);
  Result<int> run(const RunRequest& request, const OutputLine& output) override;
  void cancel() override;

 private:
  Result<int> run_in(const RunRequest& request, const OutputLine& output);
  BuildNetwork& network_;
  UniqueFd cancelled_;  ///< an eventfd: can be read once cancel() was called
};

/// The id of a step's container, which names its control group too: from the workspace, so that both can be found again
/// when the builder was killed.
std::string step_container_id(const std::string& workspace);

/// Ends the containers of builders that are gone, and removes their control groups: those of workspaces below `folder`
/// that no process holds.
Result<void> sweep_steps(const std::string& folder);

/// The text of the container's config.json, for RuntimeRunner and its tests.
Result<std::string> bundle_config(const RunRequest& request, const std::string& rootfs);

/// Removes from the upper directory what only was made so that something could be mounted there.
Result<void> remove_mount_points(const RunRequest& request);

}  // namespace compose::build

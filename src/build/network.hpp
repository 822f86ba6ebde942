#pragma once
// The network of RUN steps: a namespace and an address of their own on a bridge of ours ("compose-build"), from which
// the outside is reached as from a container. Steps do not see the host's loopback or its abstract sockets; a build
// that needs them says `network: host`.
//
// The bridge exists while steps run. A builder that was killed leaves its lease and perhaps the bridge: the next one
// takes both away (a lease names the process it belongs to).
#include <mutex>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "net/networks.hpp"

namespace compose::build {

class BuildNetwork;

/// One step's interface; taken away by the destructor.
class StepNetwork {
 public:
  StepNetwork(StepNetwork&& other) noexcept;
  StepNetwork& operator=(StepNetwork&&) = delete;
  ~StepNetwork();
  /// The namespace as a path that other processes can open while this lives.
  std::string path() const;
  const std::string& gateway() const { return gateway_; }  ///< the host's address on the bridge

 private:
  friend class BuildNetwork;
  StepNetwork(BuildNetwork& owner, UniqueFd fd, std::string lease_owner, net::endpoint::Attachment attachment,
              std::string gateway);
  BuildNetwork* owner_;
  UniqueFd fd_;
  std::string lease_owner_;
  net::endpoint::Attachment attachment_;
  std::string gateway_;
};

class BuildNetwork {
 public:
  BuildNetwork(std::string state_root, std::string run_root);
  ~BuildNetwork();
  BuildNetwork(const BuildNetwork&) = delete;
  BuildNetwork& operator=(const BuildNetwork&) = delete;

  /// From several threads. `id` is the container's.
  Result<StepNetwork> attach(const std::string& id);
  /// Takes away what builders that are gone have left. Cheap when there is nothing.
  Result<void> sweep();

 private:
  friend class StepNetwork;
  struct Place {
    net::endpoint::Attachment attachment;
    std::string gateway;
  };
  Result<Place> take_place(const std::string& owner, const std::string& id);
  void release(const std::string& lease_owner, const net::endpoint::Attachment& attachment);
  Result<void> release_dead(const std::vector<net::Lease>& leases);
  std::mutex mutex_;
  net::Networks networks_;
  bool used_ = false;
};

/// The host's resolv.conf for a namespace of its own: servers at loopback addresses cannot be reached from there. Those
/// that systemd-resolved asks (`resolved`, its own list) stand in; without any, Docker's: 8.8.8.8 and 8.8.4.4. Pure.
std::string step_resolv_conf(const std::string& host, const std::string& resolved);

}  // namespace compose::build

#pragma once
// The files that remember networks, leases and ports (JSON, one schema number each).
//   <root>/networks/NAME.json    the network           <root>/networks/NAME.leases  who has which address
//   <root>/ports.json            published ports        <run>/network.json           settings of the host we changed
//   <root>/virtual.json          services' virtual addresses
// The directory <root>/networks is locked (flock(2)) during every change.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "net/networks.hpp"
#include "sys/lock.hpp"

namespace compose::net {

class NetworkFiles {
 public:
  NetworkFiles(std::string state_root, std::string run_root)
      : state_root_{std::move(state_root)}, run_root_{std::move(run_root)} {}

  const std::string& state_root() const { return state_root_; }
  Result<sys::FileLock> lock() const;

  Result<std::vector<std::string>> names() const;
  Result<std::optional<Network>> load(const std::string& name) const;
  Result<void> save(const Network& network) const;
  /// The network and its leases.
  Result<void> erase(const std::string& name) const;

  Result<std::vector<Lease>> load_leases(const std::string& network) const;
  Result<void> save_leases(const std::string& network, const std::vector<Lease>& leases) const;

  /// Ports claimed since this boot: those from before a restart of the host are void.
  Result<std::vector<Publication>> load_ports() const;
  Result<void> save_ports(const std::vector<Publication>& ports) const;

  /// Virtual addresses set up since this boot.
  Result<std::vector<Spread>> load_spreads() const;
  Result<void> save_spreads(const std::vector<Spread>& spreads) const;

  /// Former values of settings below /proc/sys/net that we changed since this boot.
  Result<std::map<std::string, std::string>> load_sysctls() const;
  Result<void> save_sysctls(const std::map<std::string, std::string>& sysctls) const;

 private:
  std::string network_path(const std::string& name) const;
  std::string leases_path(const std::string& name) const;
  std::string ports_path() const { return state_root_ + "/ports.json"; }
  std::string spreads_path() const { return state_root_ + "/virtual.json"; }
  std::string sysctls_path() const { return run_root_ + "/network.json"; }
  std::string state_root_, run_root_;
};

/// Names are file names: letters, digits, "_", "." and "-", beginning with a letter or a digit. Errors: invalid.
Result<void> check_network_name(const std::string& name);

}  // namespace compose::net

#pragma once
// What exists of a project on this host, as the supervisor sees it: the other input of a plan.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "compose/model/service.hpp"

namespace compose::plan {

enum class State : std::uint8_t { creating, created, running, paused, restarting, exited, removing };
enum class Health : std::uint8_t { none, starting, healthy, unhealthy };

struct ObservedContainer {
  std::string id;
  std::string name;
  std::string service;
  int number = 1;
  std::string config_hash;  ///< plan::Desired::hashes[service] at its creation
  std::string image_id;     ///< sha256:…
  State state = State::created;
  int exit_code = 0;
  Health health = Health::none;
  bool one_off = false;         ///< made by `run`
  bool extra = false;           ///< of a rolling update that was cut short: incoming or retiring (state::Role)
  bool stop_requested = false;  ///< its last end was asked for (stop, kill, down), not its own
  bool started_before = false;  ///< has run at least once
  bool ended_this_boot = true;  ///< its last run was in the host's present boot (a shutdown ends services with 0, too)
  /// target path -> volume name
  std::map<std::string, std::string> anonymous_volumes;
  std::vector<std::string> networks;  ///< real names
  /// Of its service: from the desired project where that still has the service, else as recorded at creation.
  std::map<std::string, model::Dependency> depends_on;
  /// Services whose namespaces or volumes it uses (network_mode, ipc, pid `service:NAME`, volumes_from).
  std::vector<std::string> shares_with;
  bool scheduled = false;       ///< x-schedule: started when it is due, or by its name
  std::vector<bool> pre_start;  ///< of its service, for each entry: per_replica
};

struct ObservedNetwork {
  std::string name;
  std::string key;
  bool owned = true;  ///< made for this project (not external)
  std::string hash;   ///< plan::network_hash at its creation; "" = unknown, never compared
};

struct ObservedVolume {
  std::string name;
  std::string key;
  bool owned = true;
  bool anonymous = false;
  std::string hash;  ///< plan::volume_hash at its creation
};

struct Observed {
  std::vector<ObservedContainer> containers;
  /// Those of this project, and those that exist among the names the project calls external.
  std::vector<ObservedNetwork> networks;
  std::vector<ObservedVolume> volumes;
};

}  // namespace compose::plan

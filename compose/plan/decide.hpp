#pragma once
// The first half of reconcile(): what is to happen to each container, network and volume, without any order yet.
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "compose/plan/graph.hpp"
#include "compose/plan/reconcile.hpp"

namespace compose::plan {

/// One container of a service as it is and as it shall be.
struct Replica {
  const model::Service* service = nullptr;
  int number = 1;
  std::string name;
  const ObservedContainer* old = nullptr;

  bool create = false;  ///< with `old`: in its place
  bool start = false;
  bool unpause = false;
  bool bounce = false;      ///< stopped and started again as it is
  /// Replaced as deploy.update_config (or rollback_config) says; null: at once.
  const model::UpdateConfig* update = nullptr;
  bool stop_early = false;  ///< it cannot live while what it depends on is replaced
  std::string cause;

  bool recreated() const { return create && old != nullptr; }
  bool stops() const { return (recreated() || bounce) && old != nullptr && is_up(*old); }
  bool starts() const { return start || unpause; }
};

struct NetworkDecision {
  const model::Network* network = nullptr;
  bool exists = false;
  bool replace = false;
};

struct Surplus {
  const ObservedContainer* container = nullptr;
  std::string cause;
};

struct Decisions {
  ServiceGraph edges;
  std::vector<std::string> order;  ///< the services that are looked at, dependencies first
  std::map<std::string, std::vector<Replica>> replicas;
  std::vector<Surplus> surplus;                     ///< containers of services that have too many, or half-made
  std::map<std::string, NetworkDecision> networks;  ///< by key: all that those services use
  std::set<std::string> missing_volumes;            ///< keys
  std::vector<const ObservedContainer*> orphans;    ///< of services the project does not have any more
  std::vector<std::string> warnings;
};

Result<Decisions> decide(const Desired& desired, const Observed& observed, const Options& options);

bool is_on(const ObservedContainer& container, const model::Network& network);

}  // namespace compose::plan

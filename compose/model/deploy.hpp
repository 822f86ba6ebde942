#pragma once
// The `deploy` section of a service (Compose Specification, deploy.md).
#include "base/units.hpp"
#include "compose/model/values.hpp"

namespace compose::model {

struct UpdateConfig {
  std::optional<std::uint64_t> parallelism;
  Duration delay{};
  std::string failure_action;  ///< continue, pause, rollback
  Duration monitor{};
  double max_failure_ratio = 0;
  std::string order;  ///< start-first, stop-first
  bool operator==(const UpdateConfig&) const = default;
};

struct ResourceLimits {
  std::optional<double> cpus;
  std::optional<std::int64_t> memory;  ///< bytes
  std::optional<std::int64_t> pids;
  bool operator==(const ResourceLimits&) const = default;
};

struct GenericResource {
  std::string kind;
  std::int64_t value = 0;
  bool operator==(const GenericResource&) const = default;
};

struct ResourceReservations {
  std::optional<double> cpus;
  std::optional<std::int64_t> memory;  ///< bytes
  std::vector<GenericResource> generic_resources;
  std::vector<DeviceRequest> devices;
  bool operator==(const ResourceReservations&) const = default;
};

/// `deploy.restart_policy`; it wins over the service's `restart`.
struct RestartPolicy {
  std::string condition;  ///< none, on-failure, any; "" = any
  std::optional<Duration> delay;
  std::optional<std::uint64_t> max_attempts;
  std::optional<Duration> window;
  bool operator==(const RestartPolicy&) const = default;
};

struct Placement {
  Strings constraints;
  Strings preferences;  ///< each the label of a `spread`
  std::optional<std::uint64_t> max_replicas_per_node;
  bool operator==(const Placement&) const = default;
};

struct Deploy {
  std::string mode;           ///< replicated (also ""), global, replicated-job, global-job
  std::string endpoint_mode;  ///< vip, dnsrr
  std::optional<std::int64_t> replicas;
  StringMap labels;
  std::optional<UpdateConfig> update_config;
  std::optional<UpdateConfig> rollback_config;
  std::optional<ResourceLimits> limits;
  std::optional<ResourceReservations> reservations;
  std::optional<RestartPolicy> restart_policy;
  std::optional<Placement> placement;
  bool operator==(const Deploy&) const = default;
};

}  // namespace compose::model

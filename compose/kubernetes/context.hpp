#pragma once
// What the parts of one export share; internal to the library.
#include <fmt/format.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "compose/kubernetes/export.hpp"
#include "compose/kubernetes/names.hpp"
#include "compose/kubernetes/tree.hpp"

namespace compose::kubernetes {

enum class Kind : std::uint8_t { deployment, stateful_set, daemon_set, job, cron_job };
std::string_view kind_name(Kind kind);

/// A port pods listen on.
struct PodPort {
  std::uint16_t number = 0;
  std::string protocol;  ///< TCP, UDP, SCTP
  std::string name;      ///< a Service's port name
  std::string app_protocol;
  std::string path;  ///< of the model
  auto order() const { return std::tie(number, protocol); }
};

/// One pod template: a service, and those that live in its namespaces (network_mode: service:NAME).
struct Workload {
  std::string leader;
  Strings members;  ///< the leader first
  Kind kind = Kind::deployment;
  std::string name;
  std::vector<PodPort> ports;  ///< of all members, by number
  bool headless = false;
  bool has_service = false;
};

struct Context {
  Context(const model::Project& project_, const Options& options_) : project{project_}, options{options_} {}

  const model::Project& project;
  const Options& options;
  Report report;
  Export out;
  std::map<std::string, Workload> workloads;           ///< by leader
  std::map<std::string, std::string> leader_of;        ///< member -> leader
  std::map<std::string, std::set<std::string>> users;  ///< volume -> leaders that mount it
  std::map<std::string, std::string> taken;            ///< Service names -> who took them
  std::set<std::string> job_waiters;                   ///< workloads that may look at Jobs

  const model::Service& service(const std::string& name) const { return project.services.at(name); }
  const Workload& workload_of(const std::string& service_name) const {
    return workloads.at(leader_of.at(service_name));
  }
  const ImageFacts& image(const std::string& service_name) const;

  /// The place of a model path, numbered for Manifest.
  Place at(const std::string& path);
  void problem(const std::string& path, std::string message);
  void warn(std::string message) { out.warnings.push_back(std::move(message)); }

  /// The Kubernetes name of a part of the model, recorded when it had to change.
  std::string name_of(const std::string& section, const std::string& name);

  /// Notes that an object is called by its key; `actual` is the name it has in Compose.
  void note_name(const std::string& section, const std::string& key, const std::string& actual, bool external);

  /// metadata with our labels.
  Value metadata(const std::string& name, const std::string& component, Place place = {});
  void add(std::string group, std::string_view api, std::string_view kind, Value metadata, Value spec,
           Place place = {});
};

/// What selects the pods of a workload.
Value selector(const Context& context, const Workload& workload);
/// {"compose/network.NAME": "true"} keys.
std::string network_label(const std::string& network);
std::string alias_label(const std::string& alias);
std::string volume_label(const std::string& volume);
/// "kubernetes.KEY" of a service's, volume's … labels, "" when missing.
std::string instruction(const model::StringMap& labels, std::string_view key);
/// Splits labels into what may be a label and what must be an annotation, and puts them into metadata.
void put_labels(Value& metadata, const model::StringMap& labels, Context& context, const std::string& path);

// workloads.cpp
void plan_workloads(Context& context);
void export_workload(Context& context, const Workload& workload);
// pod.cpp
Value pod_template(Context& context, const Workload& workload);
void add_volumes(Context& context, const std::string& path, const Value& items, Value& volumes);
Value job_spec(Context& context, const Workload& workload, Value pod);
// container.cpp
Value container_of(Context& context, const Workload& workload, const std::string& service);
Strings escape_references(const Strings& words);
std::string image_of(Context& context, const std::string& service);
// probes.cpp
void put_probes(Context& context, const Workload& workload, const std::string& service, Value& container);
// resources.cpp
Value resources_of(Context& context, const std::string& service);
// security.cpp
Value container_security(Context& context, const std::string& service);
Value pod_security(Context& context, const Workload& workload);
/// Whether somebody without the right to ports below 1024 listens on one. Docker lets everybody (the sysctl is 0 in its
/// containers), clusters only if their runtime is set up so; the sysctl counts as safe there.
bool opens_low_ports(const Context& context, const Workload& workload);
// schedule.cpp
bool is_scheduled(const model::Service& service);
void note_schedule(Context& context, const Workload& workload);
Value cron_job_spec(Context& context, const Workload& workload, Value job);
// scheduling.cpp
void put_scheduling(Context& context, const Workload& workload, Value& pod);
Value rollout(Context& context, const Workload& workload, Value& spec);
// waits.cpp
void put_init_containers(Context& context, const Workload& workload, Value& pod);
void put_lifecycle(Context& context, const std::string& service, Value& container);
void export_hooks(Context& context, const Workload& workload);
std::string pre_start_job(const Workload& workload, std::size_t index);
// volumes.cpp
struct Mounts {
  Value volumes = Value::sequence();  ///< of the pod
  Value mounts = Value::sequence();   ///< of the container
};
void plan_volumes(Context& context);
Mounts mounts_of(Context& context, const Workload& workload, const std::string& service);
void export_claims(Context& context);
bool keeps_one_pod(const Context& context, const Workload& workload, std::string& why);
// config.cpp
void export_configs(Context& context);
void put_environment(Context& context, const std::string& service, Value& container);
void export_environment(Context& context, const std::string& service);
std::string checksum(Context& context, const Workload& workload);
Value config_map_of(const std::map<std::string, std::string>& files, Place place = {});
std::string file_key(const Context& context, const std::string& path);
// services.cpp
void plan_services(Context& context);
void export_services(Context& context, const Workload& workload);
void export_aliases(Context& context);
// policies.cpp
void export_policies(Context& context);

}  // namespace compose::kubernetes

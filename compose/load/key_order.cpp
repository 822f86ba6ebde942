#include "compose/load/key_order.hpp"

#include <algorithm>
#include <span>
#include <vector>

namespace compose::load {
namespace {

using yaml::Entry;
using yaml::Value;

using Keys = std::span<const std::string_view>;

// What Docker Compose prints first in each kind of mapping; all else follows in byte order, as it does there.
constexpr std::string_view kProject[] = {"name", "services", "networks", "volumes", "secrets", "configs", "models"};
constexpr std::string_view kService[] = {
    "profiles",      "annotations",    "attach", "build",     "develop",     "blkio_config", "cap_add",
    "cap_drop",      "cgroup_parent",  "cgroup", "cpu_count", "cpu_percent", "cpu_period",   "cpu_quota",
    "cpu_rt_period", "cpu_rt_runtime", "cpus",   "cpuset",    "cpu_shares"};
constexpr std::string_view kServiceLast[] = {"post_start", "pre_stop"};
constexpr std::string_view kBuild[] = {
    "context", "dockerfile",  "dockerfile_inline", "entitlements", "args",     "provenance",      "sbom",
    "ssh",     "labels",      "cache_from",        "cache_to",     "no_cache", "no_cache_filter", "additional_contexts",
    "pull",    "extra_hosts", "isolation",         "network",      "target",   "secrets",         "shm_size",
    "tags",    "ulimits",     "platforms",         "privileged"};
constexpr std::string_view kDeploy[] = {"mode",      "replicas",       "labels",    "update_config", "rollback_config",
                                        "resources", "restart_policy", "placement", "endpoint_mode"};
constexpr std::string_view kUpdate[] = {"parallelism",       "delay", "failure_action", "monitor",
                                        "max_failure_ratio", "order"};
constexpr std::string_view kHealthcheck[] = {"test",         "timeout",        "interval", "retries",
                                             "start_period", "start_interval", "disable"};
constexpr std::string_view kResources[] = {"cpus", "memory", "pids", "generic_resources", "devices"};
constexpr std::string_view kDeviceRequest[] = {"capabilities", "driver", "count", "device_ids", "options"};
constexpr std::string_view kPlacement[] = {"constraints", "preferences", "max_replicas_per_node"};
constexpr std::string_view kDevice[] = {"source", "target", "permissions"};
constexpr std::string_view kPort[] = {"name", "mode", "host_ip", "target", "published", "protocol", "app_protocol"};
constexpr std::string_view kMount[] = {"type", "source", "target", "read_only", "consistency",
                                       "bind", "volume", "tmpfs",  "image"};
constexpr std::string_view kFile[] = {"source", "target", "uid", "gid", "mode"};
constexpr std::string_view kDependency[] = {"condition", "restart", "required"};
constexpr std::string_view kHook[] = {"command", "user", "privileged", "working_dir", "environment"};
constexpr std::string_view kTrigger[] = {"path", "action", "target", "exec", "include", "ignore", "initial_sync"};
constexpr std::string_view kObject[] = {"name", "driver",   "driver_opts", "file",       "environment", "content",
                                        "ipam", "external", "internal",    "attachable", "labels"};
constexpr std::string_view kPool[] = {"subnet", "gateway", "ip_range", "aux_addresses"};
constexpr std::string_view kUlimit[] = {"soft", "hard"};

// A kind of mapping: its keys in order, what its entries are, and what all others are (names, or items of a list).
struct Kind {
  struct Member {
    std::string_view key;
    const Kind* kind;
  };
  Keys first;
  Keys last;
  std::span<const Member> members;
  const Kind* each = nullptr;
};

constexpr Kind simple(Keys first) { return {first, {}, {}, nullptr}; }
constexpr Kind all(const Kind& item) { return {{}, {}, {}, &item}; }

constexpr Kind kUlimitKind = simple(kUlimit), kUlimits = all(kUlimitKind);
constexpr Kind kFileKind = simple(kFile), kFiles = all(kFileKind);
constexpr Kind kDeviceKind = simple(kDevice), kDevices = all(kDeviceKind);
constexpr Kind kPortKind = simple(kPort), kPorts = all(kPortKind);
constexpr Kind kMountKind = simple(kMount), kMounts = all(kMountKind);
constexpr Kind kDependencyKind = simple(kDependency), kDependencies = all(kDependencyKind);
constexpr Kind kHookKind = simple(kHook), kHooks = all(kHookKind);
constexpr Kind kTriggerKind = simple(kTrigger), kTriggers = all(kTriggerKind);
constexpr Kind kPoolKind = simple(kPool), kPools = all(kPoolKind);
constexpr Kind kUpdateKind = simple(kUpdate);
constexpr Kind kHealthcheckKind = simple(kHealthcheck);

constexpr Kind::Member kBuildMembers[] = {{"secrets", &kFiles}, {"ulimits", &kUlimits}};
constexpr Kind kBuildKind{kBuild, {}, kBuildMembers};
constexpr Kind kPlacementKind = simple(kPlacement);
constexpr Kind kDeviceRequestKind = simple(kDeviceRequest), kDeviceRequests = all(kDeviceRequestKind);
constexpr Kind::Member kAmountMembers[] = {{"devices", &kDeviceRequests}};
constexpr Kind kAmountKind{kResources, {}, kAmountMembers}, kResourcesKind = all(kAmountKind);
constexpr Kind::Member kDeployMembers[] = {{"update_config", &kUpdateKind},
                                           {"rollback_config", &kUpdateKind},
                                           {"resources", &kResourcesKind},
                                           {"placement", &kPlacementKind}};
constexpr Kind kDeployKind{kDeploy, {}, kDeployMembers};
constexpr Kind::Member kDevelopMembers[] = {{"watch", &kTriggers}};
constexpr Kind kDevelopKind{{}, {}, kDevelopMembers};
constexpr Kind::Member kServiceMembers[] = {{"build", &kBuildKind},
                                            {"configs", &kFiles},
                                            {"depends_on", &kDependencies},
                                            {"deploy", &kDeployKind},
                                            {"develop", &kDevelopKind},
                                            {"devices", &kDevices},
                                            {"gpus", &kDeviceRequests},
                                            {"healthcheck", &kHealthcheckKind},
                                            {"ports", &kPorts},
                                            {"post_start", &kHooks},
                                            {"pre_start", &kHooks},
                                            {"pre_stop", &kHooks},
                                            {"secrets", &kFiles},
                                            {"ulimits", &kUlimits},
                                            {"volumes", &kMounts}};
constexpr Kind kServiceKind{kService, kServiceLast, kServiceMembers}, kServices = all(kServiceKind);

constexpr Kind::Member kIpamMembers[] = {{"config", &kPools}};
constexpr std::string_view kIpam[] = {"driver", "config", "options"};
constexpr Kind kIpamKind{kIpam, {}, kIpamMembers};
constexpr Kind::Member kObjectMembers[] = {{"ipam", &kIpamKind}};
constexpr Kind kObjectKind{kObject, {}, kObjectMembers}, kObjects = all(kObjectKind);
constexpr Kind::Member kProjectMembers[] = {{"services", &kServices},
                                            {"networks", &kObjects},
                                            {"volumes", &kObjects},
                                            {"secrets", &kObjects},
                                            {"configs", &kObjects}};
constexpr Kind kProjectKind{kProject, {}, kProjectMembers};

std::size_t rank(std::string_view key, const Kind& kind) {
  const auto found = std::find(kind.first.begin(), kind.first.end(), key);
  if (found != kind.first.end()) return static_cast<std::size_t>(found - kind.first.begin());
  const auto late = std::find(kind.last.begin(), kind.last.end(), key);
  return kind.first.size() + (late == kind.last.end() ? 0 : 1 + static_cast<std::size_t>(late - kind.last.begin()));
}

void order(Value& value, const Kind& kind);

// Sorts small handles, whose rank is looked up once each, and moves every entry once.
void sort_entries(yaml::Mapping& entries, const Kind& kind) {
  struct Handle {
    std::size_t rank;
    Entry* entry;
  };
  const auto before = [](const Handle& a, const Handle& b) {
    return a.rank != b.rank ? a.rank < b.rank : a.entry->key < b.entry->key;
  };
  std::vector<Handle> handles;
  handles.reserve(entries.size());
  for (Entry& entry : entries) handles.push_back({rank(entry.key, kind), &entry});
  if (std::is_sorted(handles.begin(), handles.end(), before)) return;
  std::sort(handles.begin(), handles.end(), before);
  yaml::Mapping sorted;
  sorted.reserve(handles.size());
  for (const Handle& handle : handles)
    sorted.add(std::move(handle.entry->key), handle.entry->key_place, std::move(handle.entry->value));
  entries = std::move(sorted);
}

void order_entries(yaml::Mapping& entries, const Kind& kind) {
  if (entries.size() > 1) sort_entries(entries, kind);
  static constexpr Kind kUnknown{};
  for (Entry& entry : entries) {
    const auto member = std::find_if(kind.members.begin(), kind.members.end(),
                                     [&](const Kind::Member& known) { return known.key == entry.key; });
    order(entry.value, member != kind.members.end() ? *member->kind : kind.each != nullptr ? *kind.each : kUnknown);
  }
}

void order(Value& value, const Kind& kind) {
  if (yaml::Sequence* items = value.if_sequence()) {
    for (Value& item : *items) order(item, kind.each != nullptr ? *kind.each : kind);
  } else if (value.is_mapping()) {
    order_entries(value.entries(), kind);
  }
}

}  // namespace

void order_keys(yaml::Value& project) { order(project, kProjectKind); }

}  // namespace compose::load

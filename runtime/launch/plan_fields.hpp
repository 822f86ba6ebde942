#pragma once
// The members of the plan, in the order in which they travel. `A` is one of codec.hpp; changing anything here asks for
// a new kPlanVersion.
#include <concepts>

#include "runtime/launch/codec.hpp"
#include "runtime/launch/plan.hpp"

namespace compose::runtime {

inline constexpr std::uint64_t kPlanVersion = 5;

template <typename T, typename U>
concept IsMaybeConst = std::same_as<std::remove_const_t<T>, U>;

// `fields` is found by argument-dependent lookup, so each stands in its type's namespace.
namespace spec {
template <typename A, IsMaybeConst<IdMapping> T>
void fields(A& a, T& v) {
  a("container", v.container_id);
  a("host", v.host_id);
  a("size", v.size);
}
}  // namespace spec

namespace cgroup {
template <typename A, IsMaybeConst<Hierarchy> T>
void fields(A& a, T& v) {
  a("version", v.version);
  a("mount_point", v.mount_point);
  a("own_path", v.own_path);
  a("controllers", v.controllers);
}
template <typename A, IsMaybeConst<Layout> T>
void fields(A& a, T& v) {
  a("hierarchies", v.hierarchies);
}
template <typename A, IsMaybeConst<Setting> T>
void fields(A& a, T& v) {
  a("controller", v.controller);
  a("file", v.file);
  a("value", v.value);
  a("where", v.where);
  a("optional", v.optional);
}
template <typename A, IsMaybeConst<Plan> T>
void fields(A& a, T& v) {
  a("path", v.path);
  a("settings", v.settings);
  a("device_program", v.device_program);
}
}  // namespace cgroup

namespace launch {
template <typename A, IsMaybeConst<Overlay> T>
void fields(A& a, T& v) {
  a("lower", v.lower);
  a("upper", v.upper);
  a("work", v.work);
}
template <typename A, IsMaybeConst<NamespacePath> T>
void fields(A& a, T& v) {
  a("flag", v.flag);
  a("path", v.path);
}
template <typename A, IsMaybeConst<RootStep> T>
void fields(A& a, T& v) {
  a("kind", v.kind);
  a("where", v.where);
  a("source", v.source);
  a("target", v.target);
  a("type", v.type);
  a("data", v.data);
  a("attr_set", v.attr_set);
  a("attr_clear", v.attr_clear);
  a("recursive_attr_set", v.recursive_attr_set);
  a("recursive_attr_clear", v.recursive_attr_clear);
  a("superblock_flags", v.superblock_flags);
  a("propagation", v.propagation);
  a("recursive", v.recursive);
  a("copy_up", v.copy_up);
  a("no_follow", v.no_follow);
  a("optional", v.optional);
  a("mode", v.mode);
  a("uid", v.uid);
  a("gid", v.gid);
  a("major", v.major);
  a("minor", v.minor);
  a("uid_mappings", v.uid_mappings);
  a("gid_mappings", v.gid_mappings);
  a("id_map_of", v.id_map_of);
  a("recursive_id_map", v.recursive_id_map);
}
template <typename A, IsMaybeConst<ResourceLimit> T>
void fields(A& a, T& v) {
  a("resource", v.resource);
  a("soft", v.soft);
  a("hard", v.hard);
}
template <typename A, IsMaybeConst<CapabilityMasks> T>
void fields(A& a, T& v) {
  a("bounding", v.bounding);
  a("effective", v.effective);
  a("inheritable", v.inheritable);
  a("permitted", v.permitted);
  a("ambient", v.ambient);
}
template <typename A, IsMaybeConst<SchedulerPlan> T>
void fields(A& a, T& v) {
  a("policy", v.policy);
  a("priority", v.priority);
  a("nice", v.nice);
  a("flags", v.flags);
  a("runtime", v.runtime);
  a("deadline", v.deadline);
  a("period", v.period);
}
template <typename A, IsMaybeConst<MemoryPolicyPlan> T>
void fields(A& a, T& v) {
  a("mode", v.mode);
  a("nodes", v.nodes);
}
template <typename A, IsMaybeConst<ProcessPlan> T>
void fields(A& a, T& v) {
  a("args", v.args);
  a("env", v.env);
  a("cwd", v.cwd);
  a("terminal", v.terminal);
  a("rows", v.rows);
  a("columns", v.columns);
  a("uid", v.uid);
  a("gid", v.gid);
  a("groups", v.groups);
  a("user", v.user);
  a("umask", v.umask);
  a("set_capabilities", v.set_capabilities);
  a("capabilities", v.capabilities);
  a("limits", v.limits);
  a("no_new_privileges", v.no_new_privileges);
  a("apparmor_profile", v.apparmor_profile);
  a("selinux_label", v.selinux_label);
  a("oom_score_adj", v.oom_score_adj);
  a("scheduler", v.scheduler);
  a("io_priority", v.io_priority);
  a("memory_policy", v.memory_policy);
  a("exec_cpus_initial", v.exec_cpus_initial);
  a("exec_cpus_final", v.exec_cpus_final);
  a("personality", v.personality);
  a("set_personality", v.set_personality);
  a("seccomp_program", v.seccomp_program);
  a("seccomp_flags", v.seccomp_flags);
  a("seccomp_listener", v.seccomp_listener);
  a("seccomp_metadata", v.seccomp_metadata);
}
template <typename A, IsMaybeConst<HookPlan> T>
void fields(A& a, T& v) {
  a("path", v.path);
  a("args", v.args);
  a("env", v.env);
  a("timeout", v.timeout);
}
}  // namespace launch
}  // namespace compose::runtime

namespace compose::net::endpoint {
template <typename A, compose::runtime::IsMaybeConst<Attachment> T>
void fields(A& a, T& v) {
  a("kind", v.kind);
  a("bridge", v.bridge);
  a("host_interface", v.host_interface);
  a("interface", v.interface);
  a("mac", v.mac);
  a("addresses", v.addresses);
  a("gateway4", v.gateway4);
  a("gateway6", v.gateway6);
  a("default_route4", v.default_route4);
  a("default_route6", v.default_route6);
  a("mtu", v.mtu);
  a("hairpin", v.hairpin);
  a("mode", v.mode);
  a("sysctls", v.sysctls);
}
}  // namespace compose::net::endpoint

namespace compose::runtime::launch {
template <typename A, IsMaybeConst<LaunchPlan> T>
void fields(A& a, T& v) {
  a("container_id", v.container_id);
  a("bundle", v.bundle);
  a("create_namespaces", v.create_namespaces);
  a("join_namespaces", v.join_namespaces);
  a("uid_mappings", v.uid_mappings);
  a("gid_mappings", v.gid_mappings);
  a("time_offsets", v.time_offsets);
  a("use_cgroup", v.use_cgroup);
  a("layout", v.layout);
  a("cgroup", v.cgroup);
  a("root", v.root);
  a("overlay", v.overlay);
  a("shared_mounts", v.shared_mounts);
  a("readonly_root", v.readonly_root);
  a("root_propagation", v.root_propagation);
  a("mount_label", v.mount_label);
  a("steps", v.steps);
  a("hostname", v.hostname);
  a("domainname", v.domainname);
  a("sysctls", v.sysctls);
  a("attachments", v.attachments);
  a("net_devices", v.net_devices);
  a("resolver", v.resolver);
  a("prestart", v.prestart);
  a("create_runtime", v.create_runtime);
  a("create_container", v.create_container);
  a("start_container", v.start_container);
  a("poststart", v.poststart);
  a("poststop", v.poststop);
  a("annotations", v.annotations);
  a("process", v.process);
}
}  // namespace compose::runtime::launch

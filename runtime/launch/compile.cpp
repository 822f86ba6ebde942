#include <fmt/ranges.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/resource.h>

#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "base/strings.hpp"
#include "runtime/launch/compile_parts.hpp"
#include "runtime/rootfs/mount_options.hpp"
#include "runtime/security/capabilities.hpp"
#include "runtime/security/seccomp.hpp"

namespace compose::runtime::launch {
namespace {

int rlimit_number(std::string_view type) {
  static constexpr std::array<std::pair<std::string_view, int>, 16> kTypes = {{{"RLIMIT_AS", RLIMIT_AS},
                                                                               {"RLIMIT_CORE", RLIMIT_CORE},
                                                                               {"RLIMIT_CPU", RLIMIT_CPU},
                                                                               {"RLIMIT_DATA", RLIMIT_DATA},
                                                                               {"RLIMIT_FSIZE", RLIMIT_FSIZE},
                                                                               {"RLIMIT_LOCKS", RLIMIT_LOCKS},
                                                                               {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
                                                                               {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
                                                                               {"RLIMIT_NICE", RLIMIT_NICE},
                                                                               {"RLIMIT_NOFILE", RLIMIT_NOFILE},
                                                                               {"RLIMIT_NPROC", RLIMIT_NPROC},
                                                                               {"RLIMIT_RSS", RLIMIT_RSS},
                                                                               {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
                                                                               {"RLIMIT_RTTIME", RLIMIT_RTTIME},
                                                                               {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
                                                                               {"RLIMIT_STACK", RLIMIT_STACK}}};
  for (const auto& [name, number] : kTypes) {
    if (name == type) return number;
  }
  return -1;
}

Result<void> compile_limits(const spec::Process& process, ProcessPlan& plan) {
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < process.rlimits.size(); ++i) {
    const auto& limit = process.rlimits[i];
    const int number = rlimit_number(limit.type);
    if (number < 0) return make_error(Errc::invalid, "process.rlimits[{}]: unknown type \"{}\"", i, limit.type);
    if ((seen >> number) & 1U) return make_error(Errc::invalid, "process.rlimits[{}]: \"{}\" twice", i, limit.type);
    if (limit.soft > limit.hard) {
      return make_error(Errc::invalid, "process.rlimits[{}]: {}: the soft limit {} is above the hard limit {}", i,
                        limit.type, limit.soft, limit.hard);
    }
    seen |= std::uint64_t{1} << number;
    plan.limits.push_back({number, limit.soft, limit.hard});
  }
  return {};
}

std::vector<HookPlan> compile_hooks(const std::vector<spec::Hook>& hooks) {
  std::vector<HookPlan> plans;
  for (const auto& hook : hooks) plans.push_back({hook.path, hook.args, hook.env, hook.timeout.value_or(0)});
  return plans;
}

Result<void> check_hooks(const std::vector<spec::Hook>& hooks, const char* name) {
  for (std::size_t i = 0; i < hooks.size(); ++i) {
    if (!hooks[i].path.starts_with('/')) {
      return make_error(Errc::invalid, "hooks.{}[{}]: \"{}\" is not an absolute path", name, i, hooks[i].path);
    }
    if (hooks[i].timeout && *hooks[i].timeout <= 0) {
      return make_error(Errc::invalid, "hooks.{}[{}]: the timeout must be above 0", name, i);
    }
  }
  return {};
}

Result<void> compile_all_hooks(const spec::Hooks& hooks, LaunchPlan& plan) {
  TRY(check_hooks(hooks.prestart, "prestart"));
  TRY(check_hooks(hooks.create_runtime, "createRuntime"));
  TRY(check_hooks(hooks.create_container, "createContainer"));
  TRY(check_hooks(hooks.start_container, "startContainer"));
  TRY(check_hooks(hooks.poststart, "poststart"));
  TRY(check_hooks(hooks.poststop, "poststop"));
  plan.prestart = compile_hooks(hooks.prestart);
  plan.create_runtime = compile_hooks(hooks.create_runtime);
  plan.create_container = compile_hooks(hooks.create_container);
  plan.start_container = compile_hooks(hooks.start_container);
  plan.poststart = compile_hooks(hooks.poststart);
  plan.poststop = compile_hooks(hooks.poststop);
  return {};
}

Result<void> compile_root(const CompileRequest& request, const HostFacts& facts, LaunchPlan& plan) {
  const spec::Spec& spec = request.spec;
  if (spec.root.path.empty()) return make_error(Errc::invalid, "root.path: missing");
  plan.root = spec.root.path.starts_with('/') ? spec.root.path : request.bundle + "/" + spec.root.path;
  plan.readonly_root = spec.root.readonly;
  plan.overlay = request.overlay;
  if (const auto note = spec.annotations.find(spec::kOverlayAnnotation);
      !plan.overlay && note != spec.annotations.end()) {
    const auto json = nlohmann::json::parse(note->second, nullptr, false);
    if (!json.is_object()) return make_error(Errc::invalid, "annotations.{}: not a JSON object", note->first);
    Overlay overlay;
    for (const auto& layer : json.value("lower", nlohmann::json::array())) {
      if (layer.is_string()) overlay.lower.push_back(layer.get<std::string>());
    }
    if (json.contains("upper") && json["upper"].is_string()) overlay.upper = json["upper"].get<std::string>();
    if (json.contains("work") && json["work"].is_string()) overlay.work = json["work"].get<std::string>();
    plan.overlay = std::move(overlay);
  }
  if (plan.overlay && plan.overlay->lower.empty()) return make_error(Errc::invalid, "overlay: no lower layer");
  if (plan.overlay && plan.overlay->upper.empty() != plan.overlay->work.empty()) {
    return make_error(Errc::invalid, "overlay: upper and work belong together");
  }
  if (!spec.linux_.rootfs_propagation.empty()) {
    plan.root_propagation = rootfs::propagation_flags(spec.linux_.rootfs_propagation);
    if (plan.root_propagation == 0) {
      return make_error(Errc::invalid, "linux.rootfsPropagation: unknown \"{}\"", spec.linux_.rootfs_propagation);
    }
  }
  // Without SELinux file systems do not know the option, and there is nothing to label.
  if (facts.selinux) plan.mount_label = spec.linux_.mount_label;
  return {};
}

Result<void> compile_cgroup(const CompileRequest& request, const HostFacts& facts, LaunchPlan& plan) {
  plan.layout = facts.cgroups;
  plan.use_cgroup = facts.cgroup_writable;
  std::string path = request.spec.linux_.cgroups_path;
  if (path.empty()) path = "/compose-runtime/" + request.container_id;
  // The specification lets the runtime choose what a relative path is relative to: the top.
  if (!path.starts_with('/')) path = "/" + path;
  const spec::Resources resources = request.spec.linux_.resources.value_or(spec::Resources{});
  if (!facts.cgroup_writable) return {};
  TRY_ASSIGN(plan.cgroup, cgroup::compile(resources, clean_path(path), facts.cgroups));
  return {};
}

Result<void> compile_personality(const spec::Linux& config, ProcessPlan& plan) {
  if (!config.personality) return {};
  if (!config.personality->flags.empty()) {
    return make_error(Errc::unsupported, "linux.personality.flags: the specification defines none");
  }
  if (config.personality->domain == "LINUX") {
    plan.personality = PER_LINUX;
  } else if (config.personality->domain == "LINUX32") {
    plan.personality = PER_LINUX32;
  } else {
    return make_error(Errc::invalid, "linux.personality.domain: unknown \"{}\"", config.personality->domain);
  }
  plan.set_personality = true;
  return {};
}

bool annotation_is(const spec::Spec& spec, const char* name, std::string_view value) {
  const auto found = spec.annotations.find(name);
  return found != spec.annotations.end() && found->second == value;
}

Result<void> compile_hostname(const spec::Spec& spec, LaunchPlan& plan) {
  std::uint64_t owned = plan.create_namespaces;
  for (const auto& joined : plan.join_namespaces) owned |= joined.flag;
  if ((!spec.hostname.empty() || !spec.domainname.empty()) && (owned & CLONE_NEWUTS) == 0) {
    return make_error(Errc::invalid, "hostname: a name of its own needs a uts namespace");
  }
  plan.hostname = spec.hostname;
  plan.domainname = spec.domainname;
  return {};
}

}  // namespace

Result<ProcessPlan> compile_process(const spec::Process& process, const HostFacts& facts) {
  ProcessPlan plan;
  if (process.args.empty()) return make_error(Errc::invalid, "process.args: there is nothing to run");
  if (!process.cwd.starts_with('/')) {
    return make_error(Errc::invalid, "process.cwd: \"{}\" is not an absolute path", process.cwd);
  }
  plan.args = process.args;
  plan.env = process.env;
  plan.cwd = process.cwd;
  plan.terminal = process.terminal;
  if (process.console_size) {
    plan.rows = static_cast<std::uint16_t>(process.console_size->height);
    plan.columns = static_cast<std::uint16_t>(process.console_size->width);
  }
  plan.uid = process.user.uid;
  plan.gid = process.user.gid;
  plan.groups = process.user.additional_gids;
  plan.user = process.user.username;
  plan.umask = process.user.umask.value_or(022) & 0777;
  // "If unset, no capabilities" is what Go clients get from runc for an absent object.
  plan.set_capabilities = true;
  if (process.capabilities) {
    // What we do not have ourselves cannot be given; the specification asks to warn, not to fail.
    const auto mask = [&](const auto& names) { return security::capability_mask(names) & facts.capabilities; };
    plan.capabilities = {mask(process.capabilities->bounding), mask(process.capabilities->effective),
                         mask(process.capabilities->inheritable), mask(process.capabilities->permitted),
                         mask(process.capabilities->ambient)};
    // The kernel has no ambient capability that is not both (capabilities(7)).
    plan.capabilities.ambient &= plan.capabilities.inheritable & plan.capabilities.permitted;
  }
  TRY(compile_limits(process, plan));
  plan.no_new_privileges = process.no_new_privileges;
  // Labels without their security module would be refused by the kernel.
  if (!process.apparmor_profile.empty()) {
    if (facts.apparmor) {
      plan.apparmor_profile = process.apparmor_profile;
    } else if (process.apparmor_profile != "unconfined") {
      return make_error(Errc::unsupported, "process.apparmorProfile: \"{}\": AppArmor is not enabled on this host",
                        process.apparmor_profile);
    }
  }
  if (facts.selinux) plan.selinux_label = process.selinux_label;
  if (process.oom_score_adj && (*process.oom_score_adj < -1000 || *process.oom_score_adj > 1000)) {
    return make_error(Errc::invalid, "process.oomScoreAdj: {} is not within -1000 and 1000", *process.oom_score_adj);
  }
  plan.oom_score_adj = process.oom_score_adj;
  TRY(compile_scheduling(process, plan));
  return plan;
}

std::vector<std::string> capability_warnings(const spec::Process& process, const HostFacts& facts) {
  if (!process.capabilities) return {};
  const spec::Capabilities& wanted = *process.capabilities;
  std::set<std::string> unavailable;
  for (const auto* set : {&wanted.bounding, &wanted.effective, &wanted.inheritable, &wanted.permitted, &wanted.ambient}) {
    for (const std::string& name : *set) {
      if ((security::capability_mask({name}) & facts.capabilities) == 0) unavailable.insert(name);
    }
  }
  std::vector<std::string> warnings;
  if (!unavailable.empty()) {
    warnings.push_back(fmt::format("ignoring unknown or unavailable capabilities: [{}]", fmt::join(unavailable, " ")));
  }
  const std::uint64_t possible =
      security::capability_mask(wanted.inheritable) & security::capability_mask(wanted.permitted);
  for (const std::string& name : wanted.ambient) {
    if (unavailable.contains(name) || (security::capability_mask({name}) & possible) != 0) continue;
    warnings.push_back(fmt::format("can't raise ambient capability {}: it is not inheritable and permitted", name));
  }
  return warnings;
}

Result<LaunchPlan> compile(const CompileRequest& original, const HostFacts& facts) {
  CompileRequest request = original;
  const spec::Spec& spec = request.spec;
  request.init = request.init || annotation_is(spec, spec::kInitAnnotation, "true");
  LaunchPlan plan;
  plan.container_id = request.container_id;
  plan.bundle = request.bundle;
  // Only start needs it (config.md, "Process").
  if (spec.process) {
    TRY_ASSIGN(plan.process, compile_process(*spec.process, facts));
  }
  if (const auto user = spec.annotations.find(spec::kUserAnnotation);
      user != spec.annotations.end() && plan.process.user.empty()) {
    plan.process.user = user->second;
  }
  TRY(compile_root(request, facts, plan));
  TRY(compile_namespaces(spec.linux_, plan));
  TRY(compile_rootfs(request, plan));
  for (auto& step : plan.steps) {
    if (facts.rootless && step.type == "overlay") step.data += ",userxattr";
  }
  TRY(compile_sysctls(spec, plan));
  TRY(compile_hostname(spec, plan));
  TRY(compile_cgroup(request, facts, plan));
  TRY(compile_personality(spec.linux_, plan.process));
  TRY(compile_memory_policy(spec.linux_, plan.process));
  TRY(compile_net_devices(spec.linux_, plan));
  if (!spec.linux_.intel_rdt.empty()) {
    return make_error(Errc::unsupported, "linux.intelRdt: this runtime does not manage cache and bandwidth classes");
  }
  TRY(compile_all_hooks(spec.hooks, plan));
  if (spec.linux_.seccomp) {
    TRY_ASSIGN(security::Filter filter, security::compile_seccomp(*spec.linux_.seccomp, request.seccomp_cache_dir));
    plan.process.seccomp_program = std::move(filter.program);
    plan.process.seccomp_flags = filter.flags;
    plan.process.seccomp_listener = spec.linux_.seccomp->listener_path;
    plan.process.seccomp_metadata = spec.linux_.seccomp->listener_metadata;
  }
  if (request.init) {
    if (facts.init_program.empty()) return make_error(Errc::not_found, "init: the program compose-init is missing");
    for (auto& step : plan.steps) {
      if (step.where == "init") step.source = facts.init_program;
    }
    plan.process.args.insert(plan.process.args.begin(), {"/sbin/docker-init", "--"});
  }
  plan.attachments = request.attachments;
  plan.resolver = request.resolver;
  for (const auto& [name, value] : spec.annotations) plan.annotations.emplace_back(name, value);
  return plan;
}

}  // namespace compose::runtime::launch

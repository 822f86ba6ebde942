#include "container/spec.hpp"

#include <algorithm>

#include "base/strings.hpp"
#include "container/capabilities.hpp"
#include "container/effective.hpp"
#include "container/seccomp_profile.hpp"
#include "container/spec_parts.hpp"

namespace compose::container {
namespace {

namespace spec = runtime::spec;

// "" for a namespace of its own, nothing for the host's, and for `service:` and `container:` one to be joined, whose
// path is known at each start only.
bool is_host(const std::string& mode) { return mode == "host"; }

std::vector<spec::Namespace> namespaces(const model::Service& service) {
  std::vector<spec::Namespace> result{{"mount", ""}};
  if (!is_host(service.network_mode)) result.push_back({"network", ""});
  if (!is_host(service.uts)) result.push_back({"uts", ""});
  if (!is_host(service.pid)) result.push_back({"pid", ""});
  if (!is_host(service.ipc)) result.push_back({"ipc", ""});
  if (!is_host(service.cgroup)) result.push_back({"cgroup", ""});
  return result;
}

// moby, daemon/pkg/oci/defaults.go
std::vector<std::string> masked_paths(const HostInfo& host) {
  std::vector<std::string> paths{"/proc/acpi",
                                 "/proc/asound",
                                 "/proc/interrupts",
                                 "/proc/kcore",
                                 "/proc/keys",
                                 "/proc/latency_stats",
                                 "/proc/sched_debug",
                                 "/proc/scsi",
                                 "/proc/timer_list",
                                 "/proc/timer_stats",
                                 "/sys/devices/virtual/powercap",
                                 "/sys/firmware"};
  for (int cpu = 0; cpu < host.possible_cpus; ++cpu) {
    paths.push_back(fmt::format("/sys/devices/system/cpu/cpu{}/thermal_throttle", cpu));
  }
  return paths;
}

std::vector<std::string> readonly_paths() {
  return {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
}

std::string selinux_label(const SecurityOptions& options) {
  if (options.label_disable || (options.label_type.empty() && options.label_level.empty() &&
                                options.label_user.empty() && options.label_role.empty())) {
    return {};
  }
  const auto part = [](const std::string& given, const char* fallback) { return given.empty() ? fallback : given; };
  return fmt::format("{}:{}:{}:{}", part(options.label_user, "system_u"), part(options.label_role, "system_r"),
                     part(options.label_type, "container_t"), part(options.label_level, "s0"));
}

Result<std::optional<spec::Seccomp>> seccomp(const SpecInput& input, const SecurityOptions& options,
                                             const std::vector<std::string>& capabilities, const HostInfo& host) {
  const bool named = !options.seccomp_file.empty();
  if (options.seccomp_unconfined || (input.service.privileged && !named)) return std::optional<spec::Seccomp>{};
  if (named && !input.seccomp_profile) {
    return make_error(Errc::invalid, "security_opt: the seccomp profile \"{}\" was not read", options.seccomp_file);
  }
  const SeccompConditions conditions{capabilities, host.architecture, host.kernel_major, host.kernel_minor};
  auto resolved = named ? resolve_seccomp(*input.seccomp_profile, conditions) : resolve_default_seccomp(conditions);
  if (!resolved) return std::move(resolved).with("security_opt: seccomp={}", options.seccomp_file).error();
  return std::optional{std::move(resolved).value()};
}

// A container on the host's network is called like the host (Docker's rule).
std::string hostname(const SpecInput& input, const HostInfo& host) {
  const bool named_like_host = input.service.hostname.empty() && is_host(input.service.network_mode);
  return named_like_host && !host.hostname.empty() ? host.hostname : effective_hostname(input.service, input.id);
}

Result<spec::Process> process(const SpecInput& input, const HostInfo& host, const SecurityOptions& options,
                              const std::vector<std::string>& capabilities) {
  const model::Service& service = input.service;
  spec::Process result;
  result.args = effective_command(service, input.image);
  if (result.args.empty()) {
    return make_error(Errc::invalid, "no command: neither the service nor its image \"{}\" says what to run",
                      service.image);
  }
  result.terminal = service.tty;
  result.user.username = effective_user(service, input.image);
  result.user.additional_gids = input.additional_gids;
  result.env = effective_environment(service, input.image, hostname(input, host));
  result.cwd = effective_working_dir(service, input.image);
  result.capabilities.emplace();
  result.capabilities->bounding = capabilities;
  result.capabilities->effective = capabilities;
  result.capabilities->permitted = capabilities;
  TRY_ASSIGN(result.rlimits, spec_rlimits(service));
  result.no_new_privileges = options.no_new_privileges;
  result.apparmor_profile = service.privileged && options.apparmor.empty() ? "" : options.apparmor;
  if (result.apparmor_profile == "unconfined") result.apparmor_profile.clear();
  result.selinux_label = selinux_label(options);
  if (service.oom_score_adj) result.oom_score_adj = static_cast<int>(*service.oom_score_adj);
  return result;
}

// A mount that passes mounts on needs a root that does.
std::string rootfs_propagation(const std::vector<spec::Mount>& mounts) {
  std::string result;
  for (const auto& mount : mounts) {
    for (const auto& option : mount.options) {
      if (option == "shared" || option == "rshared") return "shared";
      if (option == "slave" || option == "rslave") result = "slave";
    }
  }
  return result;
}

std::string cgroups_path(const SpecInput& input) {
  const std::string& parent = input.service.cgroup_parent;
  if (parent.empty()) return input.cgroup;
  return (parent.starts_with('/') ? "" : "/") + parent + (parent.ends_with('/') ? "" : "/") + input.id;
}

Result<void> check_supported(const model::Service& service) {
  const bool reserves =
      service.deploy && service.deploy->reservations && !service.deploy->reservations->devices.empty();
  if (!service.gpus.empty() || reserves) {
    return make_error(
        Errc::unsupported, "{}: device drivers (\"{}\") are not available on this host",
        service.gpus.empty() ? "deploy.resources.reservations.devices" : "gpus",
        service.gpus.empty() ? service.deploy->reservations->devices.front().driver : service.gpus.front().driver);
  }
  if (!service.storage_opt.empty()) {
    return make_error(Errc::unsupported, "storage_opt: \"{}\" needs project quotas, which overlay roots here lack",
                      service.storage_opt.begin()->first);
  }
  return {};
}

// What belongs to the host or to another container is outside of the user namespace: moby, daemon_unix.go, refuses the
// same.
Result<void> check_user_namespace(const model::Service& service) {
  if (service.privileged) {
    return make_error(Errc::invalid, "userns_mode: a privileged container has the host's ids (userns_mode: host)");
  }
  const auto refuse = [](const char* attribute, const std::string& mode) {
    return make_error(Errc::invalid, "userns_mode: with ids of its own a container cannot have {}: {}", attribute,
                      mode);
  };
  if (is_host(service.network_mode)) return refuse("network_mode", service.network_mode);
  const auto shared = [](const std::string& mode) {
    return is_host(mode) || mode.starts_with("service:") || mode.starts_with("container:");
  };
  if (shared(service.pid)) return refuse("pid", service.pid);
  if (shared(service.ipc)) return refuse("ipc", service.ipc);
  return {};
}

}  // namespace

Result<SecurityOptions> security_options(const model::Service& service) {
  SecurityOptions result;
  for (const auto& text : service.security_opt) {
    // Docker takes "=" and, in old files, ":" between an option and its value.
    const auto separator = text.find_first_of("=:");
    const std::string name = text.substr(0, separator);
    const std::string value = separator == std::string::npos ? "" : text.substr(separator + 1);
    if (name == "no-new-privileges") {
      result.no_new_privileges = value.empty() || value == "true";
    } else if (name == "seccomp") {
      result.seccomp_unconfined = value == "unconfined";
      result.seccomp_file = value == "unconfined" || value == "builtin" ? "" : value;
    } else if (name == "apparmor") {
      result.apparmor = value;
    } else if (name == "systempaths") {
      result.system_paths_unconfined = value == "unconfined";
    } else if (name == "writable-cgroups") {
      result.writable_cgroups = value.empty() || value == "true";
    } else if (name == "label") {
      const auto colon = value.find(':');
      const std::string kind = value.substr(0, colon);
      const std::string what = colon == std::string::npos ? "" : value.substr(colon + 1);
      if (kind == "disable") result.label_disable = true;
      if (kind == "user") result.label_user = what;
      if (kind == "role") result.label_role = what;
      if (kind == "type") result.label_type = what;
      if (kind == "level") result.label_level = what;
    } else {
      return make_error(Errc::invalid, "security_opt: unknown option \"{}\"", text);
    }
  }
  return result;
}

Result<spec::Spec> make_spec(const SpecInput& input, const HostInfo& host) {
  const model::Service& service = input.service;
  TRY(check_supported(service));
  TRY_ASSIGN(const SecurityOptions options, security_options(service));
  TRY_ASSIGN(const auto capabilities, container_capabilities(service, host.last_capability));

  spec::Spec result;
  result.root.path = input.rootfs;
  result.root.readonly = service.read_only;
  TRY_ASSIGN(result.process, process(input, host, options, capabilities));
  if (!is_host(service.uts)) {
    result.hostname = hostname(input, host);
    result.domainname = service.domainname;
  }
  result.mounts = spec_mounts(input);
  result.annotations = service.annotations;
  if (service.init.value_or(false)) result.annotations[spec::kInitAnnotation] = "true";

  spec::Linux& linux_part = result.linux_;
  linux_part.namespaces = namespaces(service);
  if (input.ids) {
    TRY(check_user_namespace(service));
    linux_part.namespaces.push_back({"user", ""});
    linux_part.uid_mappings = linux_part.gid_mappings = {{0, input.ids->first, input.ids->size}};
  }
  linux_part.sysctl = service.sysctls;
  linux_part.cgroups_path = cgroups_path(input);
  TRY_ASSIGN(linux_part.resources, spec_resources(input, host));
  TRY_ASSIGN(linux_part.devices, spec_devices(input, host));
  TRY_ASSIGN(linux_part.seccomp, seccomp(input, options, capabilities, host));
  linux_part.rootfs_propagation = rootfs_propagation(result.mounts);
  if (!service.privileged && !options.system_paths_unconfined) {
    linux_part.masked_paths = masked_paths(host);
    linux_part.readonly_paths = readonly_paths();
  }
  if (!options.label_disable && !result.process->selinux_label.empty()) {
    linux_part.mount_label = result.process->selinux_label;
  }
  return result;
}

void set_namespace(spec::Spec& spec, const std::string& type, const std::string& path) {
  auto& all = spec.linux_.namespaces;
  const auto found = std::ranges::find(all, type, &spec::Namespace::type);
  if (found != all.end()) {
    found->path = path;
  } else {
    all.push_back({type, path});
  }
}

}  // namespace compose::container

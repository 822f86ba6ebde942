#pragma once
// The canonical names of every field of the model, once for reading and writing: `fields(archive, value)` calls
// archive(name, member) for each. Wrappers say where the text form differs from the member's type.
#include "compose/model/project.hpp"

namespace compose::model {

template <typename T>
struct Bytes {  ///< written as a string of digits
  T& value;
};
struct Octal {  ///< written as "0440"
  std::optional<std::uint32_t>& value;
};
struct Hosts {  ///< written as a list of host=address
  std::map<std::string, Strings>& value;
};
struct Pairs {  ///< written as a list of name or name=value
  StringMap& value;
};
struct Kept {  ///< a boolean written even when it has its default
  bool& value;
};
struct OptOut {  ///< a boolean written only when false
  bool& value;
};
struct Nullable {  ///< a command: null when not set
  std::optional<Strings>& value;
};
template <typename T>
struct MapOfNullable {  ///< name -> object, null when the object says nothing
  std::map<std::string, T>& value;
};

template <typename Archive>
void fields(Archive& a, Ulimit& v) {
  a("soft", v.soft);
  a("hard", v.hard);
}
template <typename Archive>
void fields(Archive& a, FileReference& v) {
  a("source", v.source);
  a("target", v.target);
  a("uid", v.uid);
  a("gid", v.gid);
  a("mode", Octal{v.mode});
}
template <typename Archive>
void fields(Archive& a, DeviceRequest& v) {
  a("capabilities", v.capabilities);
  a("driver", v.driver);
  a("count", v.count);
  a("device_ids", v.device_ids);
  a("options", v.options);
}
template <typename Archive>
void fields(Archive& a, Build& v) {
  a("context", v.context);
  a("dockerfile", v.dockerfile);
  a("dockerfile_inline", v.dockerfile_inline);
  a("entitlements", v.entitlements);
  a("args", v.args);
  a("ssh", Pairs{v.ssh});
  a("labels", v.labels);
  a("cache_from", v.cache_from);
  a("cache_to", v.cache_to);
  a("no_cache", v.no_cache);
  a("no_cache_filter", v.no_cache_filter);
  a("additional_contexts", v.additional_contexts);
  a("network", v.network);
  a("provenance", v.provenance);
  a("sbom", v.sbom);
  a("pull", v.pull);
  a("target", v.target);
  a("shm_size", Bytes<std::optional<std::int64_t>>{v.shm_size});
  a("extra_hosts", Hosts{v.extra_hosts});
  a("isolation", v.isolation);
  a("privileged", v.privileged);
  a("secrets", v.secrets);
  a("tags", v.tags);
  a("ulimits", v.ulimits);
  a("platforms", v.platforms);
}
template <typename Archive>
void fields(Archive& a, UpdateConfig& v) {
  a("parallelism", v.parallelism);
  a("delay", v.delay);
  a("failure_action", v.failure_action);
  a("monitor", v.monitor);
  a("max_failure_ratio", v.max_failure_ratio);
  a("order", v.order);
}
template <typename Archive>
void fields(Archive& a, ResourceLimits& v) {
  a("cpus", v.cpus);
  a("memory", Bytes<std::optional<std::int64_t>>{v.memory});
  a("pids", v.pids);
}
template <typename Archive>
void fields(Archive& a, GenericResource& v) {
  a.inside("discrete_resource_spec", [&](auto& inner) {
    inner("kind", v.kind);
    inner("value", v.value);
  });
}
template <typename Archive>
void fields(Archive& a, ResourceReservations& v) {
  a("cpus", v.cpus);
  a("memory", Bytes<std::optional<std::int64_t>>{v.memory});
  a("generic_resources", v.generic_resources);
  a("devices", v.devices);
}
template <typename Archive>
void fields(Archive& a, RestartPolicy& v) {
  a("condition", v.condition);
  a("delay", v.delay);
  a("max_attempts", v.max_attempts);
  a("window", v.window);
}
template <typename Archive>
void fields(Archive& a, Placement& v) {
  a("constraints", v.constraints);
  a.list_of("preferences", "spread", v.preferences);
  a("max_replicas_per_node", v.max_replicas_per_node);
}
template <typename Archive>
void fields(Archive& a, Deploy& v) {
  a("mode", v.mode);
  a("endpoint_mode", v.endpoint_mode);
  a("replicas", v.replicas);
  a("labels", v.labels);
  a("update_config", v.update_config);
  a("rollback_config", v.rollback_config);
  a.inside("resources", [&](auto& inner) {
    inner("limits", v.limits);
    inner("reservations", v.reservations);
  });
  a("restart_policy", v.restart_policy);
  a("placement", v.placement);
}
template <typename Archive>
void fields(Archive& a, Port& v) {
  a("name", v.name);
  a("target", v.target);
  a("published", v.published);
  a("host_ip", v.host_ip);
  a("protocol", v.protocol);
  a("mode", v.mode);
  a("app_protocol", v.app_protocol);
}
template <typename Archive>
void fields(Archive& a, BindOptions& v) {
  a("propagation", v.propagation);
  a("create_host_path", OptOut{v.create_host_path});
  a("selinux", v.selinux);
  a("recursive", v.recursive);
}
template <typename Archive>
void fields(Archive& a, VolumeOptions& v) {
  a("nocopy", v.nocopy);
  a("subpath", v.subpath);
  a("labels", v.labels);
}
template <typename Archive>
void fields(Archive& a, TmpfsOptions& v) {
  a("size", Bytes<std::optional<std::int64_t>>{v.size});
  a("mode", v.mode);
}
template <typename Archive>
void fields(Archive& a, ImageOptions& v) {
  a("subpath", v.subpath);
}
template <typename Archive>
void fields(Archive& a, Mount& v) {
  a("type", v.type);
  a("source", v.source);
  a("target", v.target);
  a("read_only", v.read_only);
  a("consistency", v.consistency);
  a("bind", v.bind);
  a("volume", v.volume);
  a("tmpfs", v.tmpfs);
  a("image", v.image);
}
template <typename Archive>
void fields(Archive& a, ServiceNetwork& v) {
  a("aliases", v.aliases);
  a("ipv4_address", v.ipv4_address);
  a("ipv6_address", v.ipv6_address);
  a("mac_address", v.mac_address);
  a("link_local_ips", v.link_local_ips);
  a("priority", v.priority);
  a("gw_priority", v.gw_priority);
  a("driver_opts", v.driver_opts);
  a("interface_name", v.interface_name);
}
template <typename Archive>
void fields(Archive& a, Dependency& v) {
  a("condition", v.condition);
  a("restart", v.restart);
  a("required", Kept{v.required});
}
template <typename Archive>
void fields(Archive& a, Healthcheck& v) {
  a("test", v.test);
  a("interval", v.interval);
  a("timeout", v.timeout);
  a("retries", v.retries);
  a("start_period", v.start_period);
  a("start_interval", v.start_interval);
  a("disable", v.disable);
}
template <typename Archive>
void fields(Archive& a, Logging& v) {
  a("driver", v.driver);
  a("options", v.options);
}
template <typename Archive>
void fields(Archive& a, Device& v) {
  a("source", v.source);
  a("target", v.target);
  a("permissions", v.permissions);
}
template <typename Archive>
void fields(Archive& a, BlkioDeviceRate& v) {
  a("path", v.path);
  a("rate", Bytes<std::int64_t>{v.rate});
}
template <typename Archive>
void fields(Archive& a, BlkioDeviceWeight& v) {
  a("path", v.path);
  a("weight", v.weight);
}
template <typename Archive>
void fields(Archive& a, BlkioConfig& v) {
  a("weight", v.weight);
  a("weight_device", v.weight_device);
  a("device_read_bps", v.device_read_bps);
  a("device_read_iops", v.device_read_iops);
  a("device_write_bps", v.device_write_bps);
  a("device_write_iops", v.device_write_iops);
}
template <typename Archive>
void fields(Archive& a, CredentialSpec& v) {
  a("config", v.config);
  a("file", v.file);
  a("registry", v.registry);
}
template <typename Archive>
void fields(Archive& a, Hook& v) {
  a("command", Nullable{v.command});
  a("image", v.image);
  a("user", v.user);
  a("privileged", v.privileged);
  a("working_dir", v.working_dir);
  a("environment", v.environment);
  a("per_replica", v.per_replica);
}
template <typename Archive>
void fields(Archive& a, Schedule& v) {
  a("cron", v.cron);
  a("timezone", v.timezone);
  a("overlap", v.overlap);
  a("missed", v.missed);
}
template <typename Archive>
void fields(Archive& a, WatchTrigger& v) {
  a("path", v.path);
  a("action", v.action);
  a("target", v.target);
  a("exec", v.exec);
  a("include", v.include);
  a("ignore", v.ignore);
  a("initial_sync", v.initial_sync);
}
template <typename Archive>
void fields(Archive& a, Provider& v) {
  a("type", v.type);
  a("options", v.options);
}
template <typename Archive>
void fields(Archive& a, ServiceModel& v) {
  a("endpoint_var", v.endpoint_var);
  a("model_var", v.model_var);
}

template <typename Archive>
void resource_fields(Archive& a, Service& v) {
  using OptionalBytes = Bytes<std::optional<std::int64_t>>;
  a("ulimits", v.ulimits);
  a("sysctls", v.sysctls);
  a("mem_limit", OptionalBytes{v.mem_limit});
  a("mem_reservation", OptionalBytes{v.mem_reservation});
  a("memswap_limit", OptionalBytes{v.memswap_limit});
  a("mem_swappiness", OptionalBytes{v.mem_swappiness});
  a("cpu_count", v.cpu_count);
  a("cpu_percent", v.cpu_percent);
  a("cpu_period", v.cpu_period);
  a("cpu_quota", v.cpu_quota);
  a("cpu_rt_period", v.cpu_rt_period);
  a("cpu_rt_runtime", v.cpu_rt_runtime);
  a("cpu_shares", v.cpu_shares);
  a("cpus", v.cpus);
  a("cpuset", v.cpuset);
  a("pids_limit", v.pids_limit);
  a("oom_kill_disable", v.oom_kill_disable);
  a("oom_score_adj", v.oom_score_adj);
  a("blkio_config", v.blkio_config);
}

template <typename Archive>
void isolation_fields(Archive& a, Service& v) {
  a("privileged", v.privileged);
  a("cap_add", v.cap_add);
  a("cap_drop", v.cap_drop);
  a("security_opt", v.security_opt);
  a("device_cgroup_rules", v.device_cgroup_rules);
  a("devices", v.devices);
  a("gpus", v.gpus);
  a("pid", v.pid);
  a("ipc", v.ipc);
  a("uts", v.uts);
  a("cgroup", v.cgroup);
  a("cgroup_parent", v.cgroup_parent);
  a("userns_mode", v.userns_mode);
  a("isolation", v.isolation);
  a("use_api_socket", v.use_api_socket);
}

template <typename Archive>
void network_fields(Archive& a, Service& v) {
  a("networks", MapOfNullable<ServiceNetwork>{v.networks});
  a("network_mode", v.network_mode);
  a("ports", v.ports);
  a("expose", v.expose);
  a("links", v.links);
  a("external_links", v.external_links);
  a("mac_address", v.mac_address);
  a("dns", v.dns);
  a("dns_opt", v.dns_opt);
  a("dns_search", v.dns_search);
  a("extra_hosts", Hosts{v.extra_hosts});
}

template <typename Archive>
void file_fields(Archive& a, Service& v) {
  a("volumes", v.volumes);
  a("volumes_from", v.volumes_from);
  a("tmpfs", v.tmpfs);
  a("secrets", v.secrets);
  a("configs", v.configs);
  a("read_only", v.read_only);
  a("shm_size", Bytes<std::optional<std::int64_t>>{v.shm_size});
  a("storage_opt", v.storage_opt);
  a("credential_spec", v.credential_spec);
}

template <typename Archive>
void life_fields(Archive& a, Service& v) {
  a("profiles", v.profiles);
  a("depends_on", v.depends_on);
  a("restart", v.restart);
  a("x-restart-on-unhealthy", v.restart_on_unhealthy);
  a("x-schedule", v.schedule);
  a("stop_signal", v.stop_signal);
  a("stop_grace_period", v.stop_grace_period);
  a("healthcheck", v.healthcheck);
  a("scale", v.scale);
  a("deploy", v.deploy);
  a("pre_start", v.pre_start);
  a("post_start", v.post_start);
  a("pre_stop", v.pre_stop);
  a.inside("develop", [&](auto& inner) { inner("watch", v.watch); });
}

template <typename Archive>
void fields(Archive& a, Service& v) {
  a("image", v.image);
  a("build", v.build);
  a("provider", v.provider);
  a("command", Nullable{v.command});
  a("entrypoint", Nullable{v.entrypoint});
  a("working_dir", v.working_dir);
  a("user", v.user);
  a("group_add", v.group_add);
  a("environment", v.environment);
  a("tty", v.tty);
  a("stdin_open", v.stdin_open);
  a("init", v.init);
  a("container_name", v.container_name);
  a("hostname", v.hostname);
  a("domainname", v.domainname);
  a("platform", v.platform);
  a("runtime", v.runtime);
  a("pull_policy", v.pull_policy);
  a("pull_refresh_after", v.pull_refresh_after);
  a("labels", v.labels);
  a("annotations", v.annotations);
  a("attach", v.attach);
  life_fields(a, v);
  network_fields(a, v);
  file_fields(a, v);
  isolation_fields(a, v);
  resource_fields(a, v);
  a("logging", v.logging);
  a("models", MapOfNullable<ServiceModel>{v.models});
}

template <typename Archive>
void fields(Archive& a, IpamPool& v) {
  a("subnet", v.subnet);
  a("ip_range", v.ip_range);
  a("gateway", v.gateway);
  a("aux_addresses", v.aux_addresses);
}
template <typename Archive>
void fields(Archive& a, Ipam& v) {
  a("driver", v.driver);
  a("config", v.config);
  a("options", v.options);
}
template <typename Archive>
void fields(Archive& a, Network& v) {
  a("name", v.name);
  a("driver", v.driver);
  a("driver_opts", v.driver_opts);
  a("ipam", v.ipam);
  a("external", v.external);
  a("internal", v.internal);
  a("attachable", v.attachable);
  a("enable_ipv4", v.enable_ipv4);
  a("enable_ipv6", v.enable_ipv6);
  a("labels", v.labels);
}
template <typename Archive>
void fields(Archive& a, Volume& v) {
  a("name", v.name);
  a("driver", v.driver);
  a("driver_opts", v.driver_opts);
  a("external", v.external);
  a("labels", v.labels);
}
template <typename Archive>
void fields(Archive& a, FileObject& v) {
  a("name", v.name);
  a("file", v.file);
  a("environment", v.environment);
  a("content", v.content);
  a("external", v.external);
  a("labels", v.labels);
  a("driver", v.driver);
  a("driver_opts", v.driver_opts);
  a("template_driver", v.template_driver);
}
template <typename Archive>
void fields(Archive& a, Model& v) {
  a("name", v.name);
  a("model", v.model);
  a("context_size", v.context_size);
  a("runtime_flags", v.runtime_flags);
}
template <typename Archive>
void fields(Archive& a, Project& v) {
  a("name", v.name);
  a("services", v.services);
  a("networks", v.networks);
  a("volumes", v.volumes);
  a("secrets", v.secrets);
  a("configs", v.configs);
  a("models", v.models);
}

}  // namespace compose::model

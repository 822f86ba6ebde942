#include "compose/load/attributes.hpp"

namespace compose::load {
namespace {

using enum Type;

const Object& file_reference() {
  static const Object o{
      {"source", {text}}, {"target", {text}}, {"uid", {text}}, {"gid", {text}}, {"mode", {file_mode}}};
  return o;
}

const Object& build() {
  static const Object o{
      {"context", {text}},
      {"dockerfile", {text}},
      {"dockerfile_inline", {text}},
      {"entitlements", {texts}},
      {"args", {environment}},
      {"provenance", {text}},
      {"sbom", {text}},
      {"ssh", {ssh}},
      {"labels", {labels}},
      {"cache_from", {texts}},
      {"cache_to", {texts}},
      {"no_cache", {flag}},
      {"no_cache_filter", {texts}},
      {"additional_contexts", {mapping}},
      {"pull", {flag}},
      {"extra_hosts", {hosts}},
      {"isolation", {text}},
      {"network", {text}},
      {"target", {text}},
      {"secrets", {objects, &file_reference()}},
      {"shm_size", {bytes}},
      {"tags", {texts}},
      {"ulimits", {ulimits}},
      {"platforms", {texts}},
      {"privileged", {flag}},
  };
  return o;
}

const Object& device_request() {
  static const Object o{{"capabilities", {texts}},
                        {"driver", {text}},
                        {"count", {device_count}},
                        {"device_ids", {texts}},
                        {"options", {mapping}}};
  return o;
}

const Object& update_config() {
  static const Object o{{"parallelism", {maybe_whole}}, {"delay", {span}},
                        {"failure_action", {text}},     {"monitor", {span}},
                        {"max_failure_ratio", {real}},  {"order", {text}}};
  return o;
}

const Object& resource() {
  static const Object discrete{{"kind", {text}}, {"value", {whole}}};
  static const Object generic{{"discrete_resource_spec", {object, &discrete}}};
  static const Object o{{"cpus", {real}},
                        {"memory", {bytes}},
                        {"pids", {whole}},
                        {"devices", {objects, &device_request()}},
                        {"generic_resources", {objects, &generic}}};
  return o;
}

const Object& deploy() {
  static const Object resources{{"limits", {object, &resource()}}, {"reservations", {object, &resource()}}};
  static const Object restart_policy{
      {"condition", {text}}, {"delay", {maybe_span}}, {"max_attempts", {maybe_whole}}, {"window", {maybe_span}}};
  static const Object preference{{"spread", {text}}};
  static const Object placement{
      {"constraints", {texts}}, {"preferences", {objects, &preference}}, {"max_replicas_per_node", {whole}}};
  static const Object o{
      {"mode", {text}},
      {"replicas", {maybe_whole}},
      {"labels", {labels}},
      {"update_config", {object, &update_config()}},
      {"rollback_config", {object, &update_config()}},
      {"resources", {object, &resources, true}},
      {"restart_policy", {object, &restart_policy}},
      {"placement", {object, &placement, true}},
      {"endpoint_mode", {text}},
  };
  return o;
}

const Object& hook() {
  static const Object o{{"command", {command}}, {"image", {text}},       {"user", {text}},
                        {"privileged", {flag}}, {"working_dir", {text}}, {"environment", {environment}},
                        {"per_replica", {flag}}};
  return o;
}

const Object& develop() {
  static const Object trigger{
      {"path", {text}},     {"action", {text}},  {"target", {text}},      {"exec", {object, &hook(), true}},
      {"include", {texts}}, {"ignore", {texts}}, {"initial_sync", {flag}}};
  static const Object o{{"watch", {objects, &trigger}}};
  return o;
}

const Object& blkio() {
  static const Object weight{{"path", {any}}, {"weight", {any}}};
  static const Object rate{{"path", {any}}, {"rate", {bytes}}};
  static const Object o{{"weight", {whole}},
                        {"weight_device", {objects, &weight}},
                        {"device_read_bps", {objects, &rate}},
                        {"device_read_iops", {objects, &rate}},
                        {"device_write_bps", {objects, &rate}},
                        {"device_write_iops", {objects, &rate}}};
  return o;
}

const Object& mount() {
  static const Object bind{
      {"propagation", {text}}, {"create_host_path", {opt_out}}, {"recursive", {text}}, {"selinux", {text}}};
  static const Object volume{{"labels", {mapping}}, {"nocopy", {flag}}, {"subpath", {text}}};
  static const Object tmpfs{{"size", {bytes}}, {"mode", {whole}}};
  static const Object image{{"subpath", {text}}};
  static const Object o{{"type", {text}},
                        {"source", {text}},
                        {"target", {text}},
                        {"read_only", {flag}},
                        {"consistency", {text}},
                        {"bind", {object, &bind}},
                        {"volume", {object, &volume}},
                        {"tmpfs", {object, &tmpfs}},
                        {"image", {object, &image}}};
  return o;
}

const Object& service_network() {
  static const Object o{{"aliases", {texts}},        {"driver_opts", {mapping}}, {"gw_priority", {whole}},
                        {"interface_name", {text}},  {"ipv4_address", {text}},   {"ipv6_address", {text}},
                        {"link_local_ips", {texts}}, {"mac_address", {text}},    {"priority", {whole}}};
  return o;
}

const Object& file_object() {
  static const Object o{{"name", {text}},    {"file", {text}},           {"environment", {text}},
                        {"content", {text}}, {"external", {flag}},       {"labels", {labels}},
                        {"driver", {text}},  {"driver_opts", {mapping}}, {"template_driver", {text}}};
  return o;
}

const Object& network() {
  static const Object pool{{"subnet", {text}}, {"gateway", {text}}, {"ip_range", {text}}, {"aux_addresses", {mapping}}};
  static const Object ipam{{"driver", {text}}, {"config", {objects, &pool}}, {"options", {mapping}}};
  static const Object o{{"name", {text}},
                        {"driver", {text}},
                        {"driver_opts", {mapping}},
                        {"ipam", {object, &ipam, true}},
                        {"external", {flag}},
                        {"internal", {flag}},
                        {"attachable", {flag}},
                        {"labels", {labels}},
                        {"enable_ipv4", {maybe_flag}},
                        {"enable_ipv6", {maybe_flag}}};
  return o;
}

}  // namespace

const Object& service_fields() {
  static const Object credential_spec{{"config", {text}}, {"file", {text}}, {"registry", {text}}};
  static const Object dependency{{"condition", {text}}, {"restart", {flag}}, {"required", {maybe_flag}}};
  static const Object device{{"source", {text}}, {"target", {text}}, {"permissions", {text}}};
  static const Object env_file{{"path", {text}}, {"required", {maybe_flag}}, {"format", {text}}};
  static const Object healthcheck{
      {"test", {test}},           {"timeout", {maybe_span}},      {"interval", {maybe_span}},
      {"retries", {maybe_whole}}, {"start_period", {maybe_span}}, {"start_interval", {maybe_span}},
      {"disable", {flag}}};
  static const Object logging{{"driver", {text}}, {"options", {mapping}}};
  static const Object port{{"name", {text}},      {"mode", {text}},     {"host_ip", {text}},     {"target", {whole}},
                           {"published", {text}}, {"protocol", {text}}, {"app_protocol", {text}}};
  static const Object provider{{"type", {text}}, {"options", {multi}}};
  static const Object service_model{{"endpoint_var", {text}}, {"model_var", {text}}};
  static const Object extends{{"service", {text}}, {"file", {text}}};
  static const Object o{
      {"profiles", {texts}},
      {"annotations", {mapping}},
      {"attach", {maybe_flag}},
      {"build", {object, &build()}},
      {"develop", {object, &develop()}},
      {"blkio_config", {object, &blkio()}},
      {"cap_add", {texts}},
      {"cap_drop", {texts}},
      {"cgroup_parent", {text}},
      {"cgroup", {text}},
      {"cpu_count", {whole}},
      {"cpu_percent", {real}},
      {"cpu_period", {whole}},
      {"cpu_quota", {whole}},
      {"cpu_rt_period", {whole}},
      {"cpu_rt_runtime", {whole}},
      {"cpus", {real}},
      {"cpuset", {text}},
      {"cpu_shares", {whole}},
      {"command", {command}},
      {"configs", {objects, &file_reference()}},
      {"container_name", {text}},
      {"credential_spec", {object, &credential_spec}},
      {"depends_on", {object_map, &dependency}},
      {"deploy", {object, &deploy()}},
      {"device_cgroup_rules", {texts}},
      {"devices", {objects, &device}},
      {"dns", {texts}},
      {"dns_opt", {texts}},
      {"dns_search", {texts}},
      {"domainname", {text}},
      {"entrypoint", {command}},
      {"provider", {object, &provider}},
      {"environment", {environment}},
      {"env_file", {objects, &env_file}},
      {"expose", {texts}},
      {"extends", {object, &extends}},
      {"external_links", {texts}},
      {"extra_hosts", {hosts}},
      {"group_add", {texts}},
      {"gpus", {objects, &device_request()}},
      {"hostname", {text}},
      {"healthcheck", {object, &healthcheck}},
      {"image", {text}},
      {"init", {maybe_flag}},
      {"ipc", {text}},
      {"isolation", {text}},
      {"labels", {labels}},
      {"label_file", {texts}},
      {"links", {texts}},
      {"logging", {object, &logging}},
      {"mem_limit", {bytes}},
      {"mem_reservation", {bytes}},
      {"memswap_limit", {bytes}},
      {"mem_swappiness", {bytes}},
      {"mac_address", {text}},
      {"models", {nullable_map, &service_model}},
      {"network_mode", {text}},
      {"networks", {nullable_map, &service_network()}},
      {"oom_kill_disable", {flag}},
      {"oom_score_adj", {whole}},
      {"pid", {text}},
      {"pids_limit", {whole}},
      {"platform", {text}},
      {"ports", {objects, &port}},
      {"privileged", {flag}},
      {"pull_policy", {text}},
      {"pull_refresh_after", {text}},
      {"read_only", {flag}},
      {"restart", {text}},
      {"runtime", {text}},
      {"scale", {maybe_whole}},
      {"secrets", {objects, &file_reference()}},
      {"security_opt", {texts}},
      {"shm_size", {bytes}},
      {"stdin_open", {flag}},
      {"stop_grace_period", {maybe_span}},
      {"stop_signal", {text}},
      {"storage_opt", {mapping}},
      {"sysctls", {mapping}},
      {"tmpfs", {texts}},
      {"tty", {flag}},
      {"ulimits", {ulimits}},
      {"use_api_socket", {flag}},
      {"user", {text}},
      {"userns_mode", {text}},
      {"uts", {text}},
      {"volumes", {objects, &mount()}},
      {"volumes_from", {texts}},
      {"working_dir", {text}},
      {"pre_start", {objects, &hook()}},
      {"post_start", {objects, &hook()}},
      {"pre_stop", {objects, &hook()}},
  };
  return o;
}

const Object& project_fields() {
  static const Object volume{
      {"name", {text}}, {"driver", {text}}, {"driver_opts", {mapping}}, {"external", {flag}}, {"labels", {labels}}};
  static const Object model{{"name", {text}}, {"model", {text}}, {"context_size", {whole}}, {"runtime_flags", {texts}}};
  static const Object o{
      {"name", {text}},
      {"services", {object_map, &service_fields()}},
      {"networks", {object_map, &network()}},
      {"volumes", {object_map, &volume}},
      {"secrets", {object_map, &file_object()}},
      {"configs", {object_map, &file_object()}},
      {"models", {object_map, &model}},
  };
  return o;
}

}  // namespace compose::load

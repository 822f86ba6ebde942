#pragma once
// A service of the project, every attribute of the Compose Specification typed, short forms expanded, defaults set,
// host paths absolute. A field that is empty (or nullopt) was not given and the image or the runtime decides.

#include "base/units.hpp"
#include "compose/model/build.hpp"
#include "compose/model/deploy.hpp"
#include "compose/model/values.hpp"

namespace compose::model {

/// One published port (or one range, when `published` is a range and `target` a single port).
struct Port {
  std::string name;
  std::uint16_t target = 0;  ///< port in the container
  std::string published;     ///< "8080", "8000-8010" (any free one of the range), "" or "0" = any free port
  std::string host_ip;       ///< "" = all addresses
  std::string protocol;      ///< tcp, udp, sctp
  std::string mode;          ///< ingress, host
  std::string app_protocol;
  bool operator==(const Port&) const = default;
};

struct BindOptions {
  std::string propagation;  ///< shared, slave, private, rshared, rslave, rprivate
  bool create_host_path = true;
  std::string selinux;    ///< z, Z
  std::string recursive;  ///< enabled, disabled, writable, readonly
  bool operator==(const BindOptions&) const = default;
};

struct VolumeOptions {
  bool nocopy = false;
  std::string subpath;
  StringMap labels;
  bool operator==(const VolumeOptions&) const = default;
};

struct TmpfsOptions {
  std::optional<std::int64_t> size;   ///< bytes
  std::optional<std::uint32_t> mode;  ///< permission bits
  bool operator==(const TmpfsOptions&) const = default;
};

struct ImageOptions {
  std::string subpath;
  bool operator==(const ImageOptions&) const = default;
};

/// One entry of `volumes`.
struct Mount {
  std::string type;  ///< bind, volume, tmpfs, image, npipe, cluster
  std::string
      source;  ///< bind: absolute host path; volume: name in the project's `volumes`, "" = anonymous; image: reference
  std::string target;  ///< absolute path in the container
  bool read_only = false;
  std::string consistency;
  BindOptions bind;
  VolumeOptions volume;
  TmpfsOptions tmpfs;
  ImageOptions image;
  bool operator==(const Mount&) const = default;
};

/// A service's place on one network.
struct ServiceNetwork {
  Strings aliases;
  std::string ipv4_address;
  std::string ipv6_address;
  std::string mac_address;
  Strings link_local_ips;
  double priority = 0;     ///< the higher is connected first
  double gw_priority = 0;  ///< the highest gives the default gateway
  StringMap driver_opts;
  std::string interface_name;
  bool operator==(const ServiceNetwork&) const = default;
};

enum class Condition : std::uint8_t { started, healthy, completed_successfully };

struct Dependency {
  Condition condition = Condition::started;
  bool restart = false;  ///< restart the dependent when this one is updated or restarted
  bool required = true;  ///< false: only a warning when it is missing or fails
  bool operator==(const Dependency&) const = default;
};

struct Healthcheck {
  Strings test;  ///< {"CMD", ...}, {"CMD-SHELL", text} or {"NONE"}; empty = the image's
  std::optional<Duration> interval;
  std::optional<Duration> timeout;
  std::optional<std::uint64_t> retries;
  std::optional<Duration> start_period;
  std::optional<Duration> start_interval;
  bool disable = false;
  bool operator==(const Healthcheck&) const = default;
};

struct Logging {
  std::string driver;  ///< "" = default
  StringMap options;
  bool operator==(const Logging&) const = default;
};

struct Device {
  std::string source;
  std::string target;
  std::string permissions;  ///< letters of "rwm"
  bool operator==(const Device&) const = default;
};

struct BlkioDeviceRate {
  std::string path;
  std::int64_t rate = 0;  ///< bytes per second, or operations per second
  bool operator==(const BlkioDeviceRate&) const = default;
};

struct BlkioDeviceWeight {
  std::string path;
  std::uint16_t weight = 0;
  bool operator==(const BlkioDeviceWeight&) const = default;
};

struct BlkioConfig {
  std::optional<std::uint16_t> weight;
  std::vector<BlkioDeviceWeight> weight_device;
  std::vector<BlkioDeviceRate> device_read_bps;
  std::vector<BlkioDeviceRate> device_read_iops;
  std::vector<BlkioDeviceRate> device_write_bps;
  std::vector<BlkioDeviceRate> device_write_iops;
  bool operator==(const BlkioConfig&) const = default;
};

struct CredentialSpec {
  std::string config;
  std::string file;
  std::string registry;
  bool operator==(const CredentialSpec&) const = default;
};

/// One entry of `pre_start`, `post_start`, `pre_stop`, or the `exec` of a watch.
struct Hook {
  std::optional<Strings> command;
  std::string image;  ///< pre_start only; "" = the service's
  std::string user;
  bool privileged = false;
  std::string working_dir;
  Environment environment;
  bool per_replica = false;  ///< pre_start only
  bool operator==(const Hook&) const = default;
};

/// `x-schedule`: an expression alone, or a mapping.
struct Schedule {
  std::string cron;
  std::string timezone;  ///< "" = UTC, "local" = the host's
  std::string overlap;   ///< skip (also ""), queue, replace: what to do when the run before goes on
  std::string missed;    ///< skip (also ""), run: what to do about times at which nobody was there
  bool operator==(const Schedule&) const = default;
};

struct WatchTrigger {
  std::string path;    ///< absolute
  std::string action;  ///< rebuild, sync, restart, sync+restart, sync+exec
  std::string target;
  std::optional<Hook> exec;
  Strings include;
  Strings ignore;
  bool initial_sync = false;
  bool operator==(const WatchTrigger&) const = default;
};

struct Provider {
  std::string type;
  std::map<std::string, Strings> options;
  bool operator==(const Provider&) const = default;
};

struct ServiceModel {
  std::string endpoint_var;
  std::string model_var;
  bool operator==(const ServiceModel&) const = default;
};

struct Service {
  std::string name;
  std::string image;
  std::optional<Build> build;
  std::optional<Provider> provider;

  // What runs. command/entrypoint: nullopt = the image's; an empty list clears the image's.
  std::optional<Strings> command;
  std::optional<Strings> entrypoint;
  std::string working_dir;
  std::string user;
  Strings group_add;
  Environment environment;  ///< env_file is already merged in, variables of the shell resolved
  bool tty = false;
  bool stdin_open = false;
  std::optional<bool> init;
  std::string container_name;
  std::string hostname;
  std::string domainname;
  std::string platform;
  std::string runtime;
  std::string pull_policy;  ///< always, never, missing (also if_not_present), build, daily, weekly, every_..., refresh
  std::string pull_refresh_after;
  StringMap labels;  ///< label_file is already merged in
  StringMap annotations;
  std::optional<bool> attach;

  // Order and life.
  Strings profiles;
  std::map<std::string, Dependency> depends_on;  ///< with the implicit ones (links, volumes_from, service: namespaces)
  std::string restart;                           ///< "", no, always, on-failure[:N], unless-stopped
  bool restart_on_unhealthy = false;             ///< x-restart-on-unhealthy
  std::string stop_signal;
  std::optional<Duration> stop_grace_period;
  std::optional<Healthcheck> healthcheck;
  std::optional<Schedule> schedule;  ///< x-schedule: it runs when it is due, not when the project comes up
  std::optional<std::int64_t> scale;
  std::optional<Deploy> deploy;
  std::vector<Hook> pre_start;
  std::vector<Hook> post_start;
  std::vector<Hook> pre_stop;
  std::vector<WatchTrigger> watch;

  // Network.
  std::map<std::string, ServiceNetwork> networks;  ///< key: name in the project's `networks`
  std::string network_mode;                        ///< "", host, none, bridge, service:NAME, container:NAME
  std::vector<Port> ports;
  Strings expose;  ///< "80", "80/udp", "8000-8010"
  Strings links;   ///< "service" or "service:alias"
  Strings external_links;
  std::string mac_address;
  Strings dns;
  Strings dns_opt;
  Strings dns_search;
  std::map<std::string, Strings> extra_hosts;  ///< host -> addresses ("host-gateway" is left as it is)

  // Files.
  std::vector<Mount> volumes;
  Strings volumes_from;  ///< "service[:ro]" or "container:NAME[:ro]"
  Strings tmpfs;         ///< "/path[:options]"
  std::vector<FileReference> secrets;
  std::vector<FileReference> configs;
  bool read_only = false;
  std::optional<std::int64_t> shm_size;  ///< bytes
  StringMap storage_opt;
  std::optional<CredentialSpec> credential_spec;

  // Rights and namespaces.
  bool privileged = false;
  Strings cap_add;
  Strings cap_drop;
  Strings security_opt;
  Strings device_cgroup_rules;
  std::vector<Device> devices;
  std::vector<DeviceRequest> gpus;
  std::string pid;     ///< "", host, service:NAME, container:NAME
  std::string ipc;     ///< "", host, none, private, shareable, service:NAME, container:NAME
  std::string uts;     ///< "", host
  std::string cgroup;  ///< "", host, private
  std::string cgroup_parent;
  std::string userns_mode;  ///< "", host
  std::string isolation;
  bool use_api_socket = false;

  // Resources. Memory in bytes.
  std::map<std::string, Ulimit> ulimits;
  StringMap sysctls;
  std::optional<std::int64_t> mem_limit;
  std::optional<std::int64_t> mem_reservation;
  std::optional<std::int64_t> memswap_limit;  ///< -1 = unlimited
  std::optional<std::int64_t> mem_swappiness;
  std::optional<std::int64_t> cpu_count;
  std::optional<double> cpu_percent;
  std::optional<std::int64_t> cpu_period;      ///< microseconds
  std::optional<std::int64_t> cpu_quota;       ///< microseconds
  std::optional<std::int64_t> cpu_rt_period;   ///< microseconds
  std::optional<std::int64_t> cpu_rt_runtime;  ///< microseconds
  std::optional<std::int64_t> cpu_shares;
  std::optional<double> cpus;
  std::string cpuset;
  std::optional<std::int64_t> pids_limit;  ///< 0 and -1 = unlimited
  bool oom_kill_disable = false;
  std::optional<std::int64_t> oom_score_adj;
  std::optional<BlkioConfig> blkio_config;

  std::optional<Logging> logging;
  std::map<std::string, ServiceModel> models;

  /// How many containers `up` keeps: scale, else deploy.replicas, else 1.
  std::int64_t replicas() const;
  bool operator==(const Service&) const = default;
};

}  // namespace compose::model

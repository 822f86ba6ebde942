#pragma once
// What is written down about a container, and how to read it back when nobody of ours is running. One writer (the
// project's supervisor), any number of readers: a record is replaced by rename(2), never changed in place.
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/units.hpp"
#include "compose/model/service.hpp"
#include "state/paths.hpp"

namespace compose::state {

using Time = std::chrono::system_clock::time_point;

/// RFC 3339 in UTC with nine digits of fraction; an unset time (the epoch) is "".
std::string format_time(Time time);
/// The same back ("" gives the epoch); any number of fraction digits and any offset are read.
Result<Time> parse_time(std::string_view text);

enum class Phase : std::uint8_t {
  creating,  ///< files are being made: a crash leaves leftovers that must be removed
  created,   ///< never started
  running,
  exited,    ///< ran and ended, or failed to start
  removing,  ///< being removed: a crash leaves leftovers that must be removed
};
std::string to_string(Phase phase);

/// One network of a container: what its service asks for and the addresses it holds there.
struct NetworkRecord {
  std::string key;                   ///< in the project's `networks`; "" when it isn't one of them
  std::string name;                  ///< the network's real name
  std::vector<std::string> aliases;  ///< names the resolver answers there: service, container, aliases
  std::string wanted_ipv4;           ///< "" = any
  std::string wanted_ipv6;
  std::string wanted_mac;
  bool default_route = false;                  ///< the container's way out leads through this one
  std::string interface;                       ///< its name inside, "" = eth0, eth1…
  std::vector<std::string> link_local;         ///< further addresses there, CIDR
  std::map<std::string, std::string> sysctls;  ///< "ipv4.conf.IFNAME.log_martians" -> value
  std::string ipv4;                            ///< CIDR, "" = none
  std::string ipv6;                            ///< CIDR, "" = none
  std::string mac;
  bool operator==(const NetworkRecord&) const = default;
};

struct PortRecord {
  std::string host_ip;             ///< "" = all addresses
  std::uint16_t wanted_first = 0;  ///< of the range the host's port is chosen from; 0 = any free port
  std::uint16_t wanted_last = 0;   ///< 0 = just wanted_first
  std::uint16_t host_port = 0;     ///< where it is published now; 0 = it is not
  std::uint16_t container_port = 0;
  std::string protocol;
  bool operator==(const PortRecord&) const = default;
};

struct MountRecord {
  std::string type;  ///< bind, volume, tmpfs
  std::string name;  ///< the volume's real name
  std::string source;
  std::string target;
  bool anonymous = false;
  bool operator==(const MountRecord&) const = default;
};

/// What the health probes are, defaults filled in. An empty test: none.
struct HealthcheckRecord {
  std::vector<std::string> test;
  Duration interval{};
  Duration timeout{};
  Duration start_period{};
  Duration start_interval{};
  std::uint64_t retries = 0;
  bool operator==(const HealthcheckRecord&) const = default;
};

struct ProbeRecord {
  Time started;
  Time finished;
  int exit_code = 0;
  std::string output;  ///< at most 4096 bytes
  bool operator==(const ProbeRecord&) const = default;
};

/// status: "" (no check), starting, healthy, unhealthy.
struct HealthRecord {
  std::string status;
  int failing_streak = 0;
  std::vector<ProbeRecord> log;  ///< the last five
  bool operator==(const HealthRecord&) const = default;
};

/// `restart` / `deploy.restart_policy`.
struct RestartRecord {
  std::string condition;           ///< no, always, on-failure, unless-stopped
  std::uint64_t max_attempts = 0;  ///< 0 = without limit
  std::optional<Duration> delay;
  std::optional<Duration> window;
  bool on_unhealthy = false;  ///< it is stopped and started again when it becomes unhealthy
  bool operator==(const RestartRecord&) const = default;
};

/// Where the output goes (container::log_record).
struct LogRecord {
  std::string driver;          ///< local, json-file, journald, syslog, none
  std::string format;          ///< of the file: "" = text, json
  std::uint64_t max_size = 0;  ///< of one file in bytes, 0 = without limit
  int max_files = 1;           ///< 0 = no file is kept
  bool compress = false;
  std::string attributes;    ///< json: what every line has besides
  std::string remote;        ///< "", journald, syslog (as syslog(3)), rfc3164, rfc5424, rfc5424micro
  std::string address;       ///< of that service: "unix:PATH", "unixgram:PATH", "udp:HOST:PORT", "tcp:HOST:PORT"
  std::string fields;        ///< journald: "NAME=value\n…"
  std::string tag;           ///< syslog
  int facility = 3;          ///< syslog
  std::uint64_t buffer = 0;  ///< mode non-blocking: bytes
  bool operator==(const LogRecord&) const = default;
};

/// One entry of `post_start` or `pre_stop`: run inside the container.
struct HookRecord {
  std::vector<std::string> command;
  std::string user;         ///< "" = the container's
  std::string working_dir;  ///< "" = the container's
  bool privileged = false;
  std::vector<std::string> environment;  ///< NAME=value
  std::string position;                  ///< "file:line:col" of its entry, "" = unknown
  bool operator==(const HookRecord&) const = default;
};

/// During a rolling update two containers stand at one place of a service.
enum class Role : std::uint8_t {
  plain,
  incoming,  ///< not yet in the names and ports; has a name of its own until it is
  retiring,  ///< replaced: out of the names and ports, finishing what it has begun
};

struct ContainerRecord {
  std::string id;
  std::string name;
  std::string project;
  std::string service;
  int number = 0;
  bool one_off = false;      ///< made by `run`
  bool auto_remove = false;  ///< `run --rm`
  std::string image_ref;     ///< as the service names it
  std::string image_id;
  std::string config_hash;
  std::string made_from;  ///< plan::attributes_to_json of its service, with digests of secrets and configs
  std::vector<std::string> command;  ///< what is executed, entrypoint included
  std::map<std::string, std::string> labels;
  Time created_at;

  Phase phase = Phase::creating;
  bool paused = false;
  pid_t pid = 0;
  std::uint64_t start_time = 0;  ///< field 22 of /proc/PID/stat
  std::string boot_id;
  Time started_at;
  Time finished_at;
  int exit_code = 0;  ///< 128 + signal when a signal ended it
  bool oom_killed = false;
  std::string error;        ///< why it could not start, or why it was ended by us
  int restart_count = 0;    ///< restarts by policy since the last start by a person
  bool restarting = false;  ///< it ended and its policy will start it again
  bool crash_loop = false;  ///< restarted again and again without a run of 10 s
  Time restart_at;          ///< restarting: when
  bool stopped_by_user = false;
  Role role = Role::plain;

  std::string cgroup;  ///< its path below every controller's mount
  std::string hostname;
  std::string network_mode;
  bool virtual_address = false;  ///< endpoint_mode vip: the service's name leads to one address for all replicas
  /// Namespaces of other containers it joins: "network", "ipc", "pid" -> "service:NAME" or "container:NAME".
  std::map<std::string, std::string> joins;
  std::vector<NetworkRecord> networks;
  std::map<std::string, std::string> links;  ///< alias -> "service:NAME" or "container:NAME"
  std::vector<std::string> dns;              ///< upstream resolvers, empty: the host's
  std::vector<std::string> dns_search;
  std::vector<PortRecord> ports;     ///< published
  std::vector<std::string> exposed;  ///< "80/tcp"
  std::vector<MountRecord> mounts;
  HealthcheckRecord healthcheck;
  HealthRecord health;
  RestartRecord restart;
  std::map<std::string, model::Dependency> depends_on;
  std::vector<std::string> shares_with;  ///< services whose namespaces or volumes it uses
  model::Schedule schedule;              ///< an empty cron: none
  std::vector<bool> pre_start;           ///< for each entry of `pre_start`: per_replica
  std::vector<HookRecord> post_start;
  std::vector<HookRecord> pre_stop;
  bool hooks_pending = false;  ///< it has started, its post_start has not ended
  /// Its addresses are leased apart from those of the other container at its place (see Role); "" = the usual ones.
  std::string lease_slot;
  std::string stop_signal;  ///< name or number, "" = SIGTERM
  Duration stop_grace{std::chrono::seconds{10}};
  bool tty = false;
  bool open_stdin = false;
  LogRecord log;

  bool operator==(const ContainerRecord&) const = default;
  /// created, running, paused, restarting, exited, removing: the words of `ps`.
  std::string status() const;
};

/// Replaces <root>/projects/<p>/containers/<id>/record.json. Atomic for readers, not fsynced: after a power cut no
/// container runs, and a record that is lost then is found as a leftover.
Result<void> save_record(const Paths& paths, const ContainerRecord& record);
/// Errc::not_found when there is none, Errc::corrupt, or Errc::unsupported for the schema of a newer version.
Result<ContainerRecord> load_record(const Paths& paths, const std::string& project, const std::string& id);

std::string record_to_json(const ContainerRecord& record);
Result<ContainerRecord> record_from_json(const std::string& json);

/// What the monitor writes when its container ends.
struct ExitRecord {
  int exit_code = 0;
  int signal = 0;
  bool oom_killed = false;
  Time started_at;
  Time finished_at;
  pid_t pid = 0;
  std::uint64_t start_time = 0;
  std::string boot_id;
};
Result<ExitRecord> load_exit(const Paths& paths, const std::string& project, const std::string& id);

/// A record as it is true now: one that says "running" is compared with /proc, the exit record and the boot.
ContainerRecord observe(const Paths& paths, ContainerRecord record);

/// All containers of a project, observed, sorted by service, number and name; needs no supervisor. Half-made ones
/// (creating, removing) are left out. A record that cannot be read is an error.
Result<std::vector<ContainerRecord>> list_containers(const Paths& paths, const std::string& project);

/// What `ls` shows of a project.
struct ProjectSummary {
  std::string name;
  std::vector<std::string> config_files;
  std::map<std::string, int> states;  ///< status word -> how many containers
};
/// Every project with a container, sorted by name.
Result<std::vector<ProjectSummary>> list_projects(const Paths& paths);

}  // namespace compose::state

#include "state/records.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/schema.hpp"
#include "base/strings.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

namespace compose::state {

using nlohmann::json;

namespace {

// Raised when a field changes its meaning; a field that is only added keeps it.
constexpr int kSchema = 1;

constexpr std::pair<Phase, const char*> kPhases[] = {{Phase::creating, "creating"},
                                                     {Phase::created, "created"},
                                                     {Phase::running, "running"},
                                                     {Phase::exited, "exited"},
                                                     {Phase::removing, "removing"}};

Result<Phase> parse_phase(const std::string& text) {
  for (const auto& [phase, name] : kPhases) {
    if (text == name) return phase;
  }
  return make_error(Errc::corrupt, "unknown phase \"{}\"", text);
}

/// Reads fields of one JSON object; a field that is missing keeps its default. Throws json::exception on a wrong type.
class Reader {
 public:
  explicit Reader(const json& object) : object_{object} {}

  template <typename T>
  const Reader& operator()(const char* key, T& field) const {
    if (const auto it = object_.find(key); it != object_.end()) it->get_to(field);
    return *this;
  }
  const Reader& time(const char* key, Time& field) const {
    if (const auto it = object_.find(key); it != object_.end()) {
      field = parse_time(it->get_ref<const std::string&>()).value_or(Time{});
    }
    return *this;
  }
  const Reader& duration(const char* key, Duration& field) const {
    if (const auto it = object_.find(key); it != object_.end()) field = Duration{it->get<std::int64_t>()};
    return *this;
  }
  const Reader& duration(const char* key, std::optional<Duration>& field) const {
    if (const auto it = object_.find(key); it != object_.end()) field = Duration{it->get<std::int64_t>()};
    return *this;
  }

 private:
  const json& object_;
};

json networks_to_json(const std::vector<NetworkRecord>& networks) {
  json list = json::array();
  for (const NetworkRecord& n : networks) {
    list.push_back({{"key", n.key},
                    {"name", n.name},
                    {"aliases", n.aliases},
                    {"wanted_ipv4", n.wanted_ipv4},
                    {"wanted_ipv6", n.wanted_ipv6},
                    {"wanted_mac", n.wanted_mac},
                    {"default_route", n.default_route},
                    {"interface", n.interface},
                    {"link_local", n.link_local},
                    {"sysctls", n.sysctls},
                    {"ipv4", n.ipv4},
                    {"ipv6", n.ipv6},
                    {"mac", n.mac}});
  }
  return list;
}

std::vector<NetworkRecord> networks_from_json(const json& list) {
  std::vector<NetworkRecord> networks;
  for (const json& item : list) {
    NetworkRecord& n = networks.emplace_back();
    Reader{item}("key", n.key)("name", n.name)("aliases", n.aliases)("wanted_ipv4", n.wanted_ipv4)(
        "wanted_ipv6", n.wanted_ipv6)("wanted_mac", n.wanted_mac)("default_route", n.default_route)(
        "interface", n.interface)("link_local", n.link_local)("sysctls", n.sysctls)("ipv4", n.ipv4)("ipv6", n.ipv6)(
        "mac", n.mac);
  }
  return networks;
}

json ports_to_json(const std::vector<PortRecord>& ports) {
  json list = json::array();
  for (const PortRecord& p : ports) {
    list.push_back({{"host_ip", p.host_ip},
                    {"wanted_first", p.wanted_first},
                    {"wanted_last", p.wanted_last},
                    {"host_port", p.host_port},
                    {"container_port", p.container_port},
                    {"protocol", p.protocol}});
  }
  return list;
}

std::vector<PortRecord> ports_from_json(const json& list) {
  std::vector<PortRecord> ports;
  for (const json& item : list) {
    PortRecord& p = ports.emplace_back();
    Reader{item}("host_ip", p.host_ip)("wanted_first", p.wanted_first)("wanted_last", p.wanted_last)(
        "host_port", p.host_port)("container_port", p.container_port)("protocol", p.protocol);
  }
  return ports;
}

json mounts_to_json(const std::vector<MountRecord>& mounts) {
  json list = json::array();
  for (const MountRecord& m : mounts) {
    list.push_back(
        {{"type", m.type}, {"name", m.name}, {"source", m.source}, {"target", m.target}, {"anonymous", m.anonymous}});
  }
  return list;
}

std::vector<MountRecord> mounts_from_json(const json& list) {
  std::vector<MountRecord> mounts;
  for (const json& item : list) {
    MountRecord& m = mounts.emplace_back();
    Reader{item}("type", m.type)("name", m.name)("source", m.source)("target", m.target)("anonymous", m.anonymous);
  }
  return mounts;
}

json healthcheck_to_json(const HealthcheckRecord& check) {
  return {{"test", check.test},
          {"interval", check.interval.count()},
          {"timeout", check.timeout.count()},
          {"start_period", check.start_period.count()},
          {"start_interval", check.start_interval.count()},
          {"retries", check.retries}};
}

HealthcheckRecord healthcheck_from_json(const json& object) {
  HealthcheckRecord check;
  Reader{object}("test", check.test)("retries", check.retries)
      .duration("interval", check.interval)
      .duration("timeout", check.timeout)
      .duration("start_period", check.start_period)
      .duration("start_interval", check.start_interval);
  return check;
}

json health_to_json(const HealthRecord& health) {
  json log = json::array();
  for (const ProbeRecord& probe : health.log) {
    log.push_back({{"started", format_time(probe.started)},
                   {"finished", format_time(probe.finished)},
                   {"exit_code", probe.exit_code},
                   {"output", probe.output}});
  }
  return {{"status", health.status}, {"failing_streak", health.failing_streak}, {"log", std::move(log)}};
}

HealthRecord health_from_json(const json& object) {
  HealthRecord health;
  Reader{object}("status", health.status)("failing_streak", health.failing_streak);
  for (const json& item : object.value("log", json::array())) {
    ProbeRecord& probe = health.log.emplace_back();
    Reader{item}("exit_code", probe.exit_code)("output", probe.output)
        .time("started", probe.started)
        .time("finished", probe.finished);
  }
  return health;
}

json restart_to_json(const RestartRecord& restart) {
  json object = {{"condition", restart.condition}, {"max_attempts", restart.max_attempts}};
  if (restart.delay) object["delay"] = restart.delay->count();
  if (restart.window) object["window"] = restart.window->count();
  if (restart.on_unhealthy) object["on_unhealthy"] = true;
  return object;
}

json hooks_to_json(const std::vector<HookRecord>& hooks) {
  json list = json::array();
  for (const HookRecord& h : hooks) {
    list.push_back({{"command", h.command},
                    {"user", h.user},
                    {"working_dir", h.working_dir},
                    {"privileged", h.privileged},
                    {"environment", h.environment},
                    {"position", h.position}});
  }
  return list;
}

std::vector<HookRecord> hooks_from_json(const json& list) {
  std::vector<HookRecord> hooks;
  for (const json& item : list) {
    HookRecord& h = hooks.emplace_back();
    Reader{item}("command", h.command)("user", h.user)("working_dir", h.working_dir)("privileged", h.privileged)(
        "environment", h.environment)("position", h.position);
  }
  return hooks;
}

constexpr std::pair<Role, const char*> kRoles[] = {
    {Role::plain, ""}, {Role::incoming, "incoming"}, {Role::retiring, "retiring"}};

const char* to_string(Role role) {
  for (const auto& [value, name] : kRoles) {
    if (value == role) return name;
  }
  return "";
}

Role role_from(const std::string& text) {
  for (const auto& [value, name] : kRoles) {
    if (text == name) return value;
  }
  return Role::plain;
}

constexpr std::pair<model::Condition, const char*> kConditions[] = {
    {model::Condition::started, "service_started"},
    {model::Condition::healthy, "service_healthy"},
    {model::Condition::completed_successfully, "service_completed_successfully"}};

json dependencies_to_json(const std::map<std::string, model::Dependency>& dependencies) {
  json object = json::object();
  for (const auto& [service, d] : dependencies) {
    const char* condition = "";
    for (const auto& [value, name] : kConditions) {
      if (value == d.condition) condition = name;
    }
    object[service] = {{"condition", condition}, {"restart", d.restart}, {"required", d.required}};
  }
  return object;
}

std::map<std::string, model::Dependency> dependencies_from_json(const json& object) {
  std::map<std::string, model::Dependency> dependencies;
  for (const auto& [service, item] : object.items()) {
    model::Dependency& d = dependencies[service];
    Reader{item}("restart", d.restart)("required", d.required);
    const std::string condition = item.value("condition", "");
    for (const auto& [value, name] : kConditions) {
      if (condition == name) d.condition = value;
    }
  }
  return dependencies;
}

json log_to_json(const LogRecord& log) {
  return {{"driver", log.driver},     {"format", log.format},
          {"max_size", log.max_size}, {"max_files", log.max_files},
          {"compress", log.compress}, {"attributes", log.attributes},
          {"remote", log.remote},     {"address", log.address},
          {"fields", log.fields},     {"tag", log.tag},
          {"facility", log.facility}, {"buffer", log.buffer}};
}

void read_log_settings(const json& object, LogRecord& log) {
  Reader{object}("driver", log.driver)("format", log.format)("max_size", log.max_size)("max_files", log.max_files)(
      "compress", log.compress)("attributes", log.attributes)("remote", log.remote)("address", log.address)(
      "fields", log.fields)("tag", log.tag)("facility", log.facility)("buffer", log.buffer);
}

void read_identity(const json& object, ContainerRecord& r) {
  Reader{object}("id", r.id)("name", r.name)("project", r.project)("service", r.service)("number", r.number)(
      "one_off", r.one_off)("auto_remove", r.auto_remove)("image_ref", r.image_ref)("image_id", r.image_id)(
      "config_hash", r.config_hash)("made_from", r.made_from)("command", r.command)("labels", r.labels)
      .time("created_at", r.created_at);
}

void read_life(const json& object, ContainerRecord& r) {
  Reader{object}("paused", r.paused)("pid", r.pid)("start_time", r.start_time)("boot_id", r.boot_id)(
      "exit_code", r.exit_code)("oom_killed", r.oom_killed)("error", r.error)("restart_count", r.restart_count)(
      "restarting", r.restarting)("crash_loop", r.crash_loop)("stopped_by_user", r.stopped_by_user)("hooks_pending",
                                                                                                    r.hooks_pending)
      .time("restart_at", r.restart_at)
      .time("started_at", r.started_at)
      .time("finished_at", r.finished_at);
}

void read_settings(const json& object, ContainerRecord& r) {
  Reader{object}("cgroup", r.cgroup)("hostname", r.hostname)("network_mode", r.network_mode)("joins", r.joins)(
      "links", r.links)("dns", r.dns)("dns_search", r.dns_search)("shares_with", r.shares_with)("exposed", r.exposed)(
      "stop_signal", r.stop_signal)("tty", r.tty)("open_stdin", r.open_stdin)("pre_start", r.pre_start)(
      "lease_slot", r.lease_slot)("virtual_address", r.virtual_address)(
      // As an earlier version wrote them.
      "log_max_size", r.log.max_size)("log_max_files", r.log.max_files)
      .duration("stop_grace", r.stop_grace);
  const json none = json::array();
  const json empty = json::object();
  r.networks = networks_from_json(object.value("networks", none));
  r.ports = ports_from_json(object.value("ports", none));
  r.mounts = mounts_from_json(object.value("mounts", none));
  r.healthcheck = healthcheck_from_json(object.value("healthcheck", empty));
  r.health = health_from_json(object.value("health", empty));
  const json restart = object.value("restart", empty);
  Reader{restart}("condition", r.restart.condition)("max_attempts", r.restart.max_attempts)("on_unhealthy",
                                                                                            r.restart.on_unhealthy)
      .duration("delay", r.restart.delay)
      .duration("window", r.restart.window);
  r.depends_on = dependencies_from_json(object.value("depends_on", empty));
  r.post_start = hooks_from_json(object.value("post_start", none));
  r.pre_stop = hooks_from_json(object.value("pre_stop", none));
  const json schedule = object.value("schedule", empty);
  Reader{schedule}("cron", r.schedule.cron)("timezone", r.schedule.timezone)("overlap", r.schedule.overlap)(
      "missed", r.schedule.missed);
  r.role = role_from(object.value("role", std::string{}));
  if (const auto log = object.find("log"); log != object.end()) read_log_settings(*log, r.log);
}

}  // namespace

std::string to_string(Phase phase) {
  for (const auto& [value, name] : kPhases) {
    if (value == phase) return name;
  }
  return "";
}

std::string ContainerRecord::status() const {
  if (phase == Phase::running && paused) return "paused";
  if (phase != Phase::running && restarting) return "restarting";
  return to_string(phase);
}

std::string record_to_json(const ContainerRecord& r) {
  const json object = {{"schema", kSchema},
                       {"id", r.id},
                       {"name", r.name},
                       {"project", r.project},
                       {"service", r.service},
                       {"number", r.number},
                       {"one_off", r.one_off},
                       {"auto_remove", r.auto_remove},
                       {"image_ref", r.image_ref},
                       {"image_id", r.image_id},
                       {"config_hash", r.config_hash},
                       {"made_from", r.made_from},
                       {"command", r.command},
                       {"labels", r.labels},
                       {"created_at", format_time(r.created_at)},
                       {"phase", to_string(r.phase)},
                       {"paused", r.paused},
                       {"pid", r.pid},
                       {"start_time", r.start_time},
                       {"boot_id", r.boot_id},
                       {"started_at", format_time(r.started_at)},
                       {"finished_at", format_time(r.finished_at)},
                       {"exit_code", r.exit_code},
                       {"oom_killed", r.oom_killed},
                       {"error", r.error},
                       {"restart_count", r.restart_count},
                       {"restarting", r.restarting},
                       {"crash_loop", r.crash_loop},
                       {"restart_at", format_time(r.restart_at)},
                       {"stopped_by_user", r.stopped_by_user},
                       {"role", to_string(r.role)},
                       {"hooks_pending", r.hooks_pending},
                       {"pre_start", r.pre_start},
                       {"post_start", hooks_to_json(r.post_start)},
                       {"pre_stop", hooks_to_json(r.pre_stop)},
                       {"lease_slot", r.lease_slot},
                       {"schedule",
                        {{"cron", r.schedule.cron},
                         {"timezone", r.schedule.timezone},
                         {"overlap", r.schedule.overlap},
                         {"missed", r.schedule.missed}}},
                       {"cgroup", r.cgroup},
                       {"hostname", r.hostname},
                       {"network_mode", r.network_mode},
                       {"joins", r.joins},
                       {"links", r.links},
                       {"dns", r.dns},
                       {"dns_search", r.dns_search},
                       {"shares_with", r.shares_with},
                       {"networks", networks_to_json(r.networks)},
                       {"ports", ports_to_json(r.ports)},
                       {"exposed", r.exposed},
                       {"mounts", mounts_to_json(r.mounts)},
                       {"healthcheck", healthcheck_to_json(r.healthcheck)},
                       {"health", health_to_json(r.health)},
                       {"restart", restart_to_json(r.restart)},
                       {"depends_on", dependencies_to_json(r.depends_on)},
                       {"stop_signal", r.stop_signal},
                       {"stop_grace", r.stop_grace.count()},
                       {"tty", r.tty},
                       {"open_stdin", r.open_stdin},
                       {"virtual_address", r.virtual_address},
                       {"log", log_to_json(r.log)}};
  // A probe's output or a command may hold bytes that are not UTF-8: they must not make the record unwritable.
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<ContainerRecord> record_from_json(const std::string& text) {
  try {
    const json object = json::parse(text);
    TRY(check_schema(object.value("schema", 0), kSchema));
    ContainerRecord record;
    read_identity(object, record);
    read_life(object, record);
    read_settings(object, record);
    TRY_ASSIGN(record.phase, parse_phase(object.value("phase", "")));
    return record;
  } catch (const json::exception& e) {
    return make_error(Errc::corrupt, "{}", e.what());
  }
}

Result<void> save_record(const Paths& paths, const ContainerRecord& record) {
  return sys::write_file_atomic(paths.record(record.project, record.id), record_to_json(record), 0600)
      .with("writing the record of container \"{}\"", record.name);
}

Result<ContainerRecord> load_record(const Paths& paths, const std::string& project, const std::string& id) {
  const std::string path = paths.record(project, id);
  TRY_ASSIGN(const std::string text, sys::read_file(path));
  return record_from_json(text).with("reading {}", path);
}

Result<ExitRecord> load_exit(const Paths& paths, const std::string& project, const std::string& id) {
  const std::string path = paths.exit_record(project, id);
  TRY_ASSIGN(const std::string text, sys::read_file(path));
  try {
    const json object = json::parse(text);
    ExitRecord exit;
    Reader{object}("exit_code", exit.exit_code)("signal", exit.signal)("oom_killed", exit.oom_killed)("pid", exit.pid)(
        "start_time", exit.start_time)("boot_id", exit.boot_id)
        .time("started_at", exit.started_at)
        .time("finished_at", exit.finished_at);
    return exit;
  } catch (const json::exception& e) {
    return make_error(Errc::corrupt, "reading {}: {}", path, e.what());
  }
}

}  // namespace compose::state

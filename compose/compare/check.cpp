#include "compose/compare/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>

#include "base/strings.hpp"

namespace compose::compare {
namespace {

constexpr std::array kRules = {
    Rule{"debug-setting", "a variable that turns debugging or a development mode on"},
    Rule{"moving-tag", "an image whose tag is moved to new versions"},
    Rule{"no-healthcheck", "nothing says whether the service works"},
    Rule{"no-limit", "no memory limit: one service can take the host's memory from the others"},
    Rule{"no-restart", "no restart policy: it stays down after a crash or a reboot"},
    Rule{"privileged", "the container can take the host over"},
    Rule{"published-database", "a database that the whole network can reach"},
    Rule{"secret-in-environment", "a password in the files, visible in every inspection"},
};

bool one_of(std::string_view text, std::initializer_list<std::string_view> list) {
  return std::ranges::find(list, text) != list.end();
}

bool is_on(const std::string& value) { return one_of(to_lower(value), {"1", "true", "yes", "on", "enabled"}); }

/// DEBUG=1, APP_DEBUG=true, NODE_ENV=development, LOG_LEVEL=debug, …
bool turns_debugging_on(const std::string& name, const std::string& value) {
  const std::string key = to_lower(name);
  const std::string text = to_lower(value);
  if (key == "debug" || key.ends_with("_debug") || key.starts_with("debug_") || key.ends_with("_debug_mode"))
    return !text.empty() && !one_of(text, {"0", "false", "no", "off", "disabled"});
  if (key.ends_with("_env") || key.ends_with("_environment") || key == "env" || key == "environment")
    return one_of(text, {"dev", "develop", "development", "local", "debug"});
  if (key.ends_with("log_level") || key.ends_with("loglevel")) return one_of(text, {"debug", "trace"});
  return one_of(key, {"xdebug_mode", "pythonasynciodebug", "display_errors"}) && (is_on(text) || text == "debug");
}

bool names_a_secret(const std::string& name) {
  const std::string key = to_lower(name);
  if (key.ends_with("_file") || key.ends_with("_path")) return false;  // where the secret is, not what it is
  for (const char* word : {"password", "passwd", "secret", "token", "api_key", "apikey", "private_key", "access_key"})
    if (key.find(word) != std::string::npos) return true;
  return false;
}

/// "registry:5000/name:tag@digest" -> tag; nothing with a digest.
std::optional<std::string> tag_of(const std::string& image) {
  if (image.find('@') != std::string::npos) return std::nullopt;
  const std::size_t slash = image.rfind('/');
  const std::size_t colon = image.find(':', slash == std::string::npos ? 0 : slash);
  return colon == std::string::npos ? std::string{} : image.substr(colon + 1);
}

constexpr std::array<std::pair<std::uint16_t, std::string_view>, 13> kDatabases = {{{1433, "SQL Server"},
                                                                                    {1521, "Oracle"},
                                                                                    {2379, "etcd"},
                                                                                    {3306, "MySQL"},
                                                                                    {5432, "PostgreSQL"},
                                                                                    {5984, "CouchDB"},
                                                                                    {6379, "Redis"},
                                                                                    {8086, "InfluxDB"},
                                                                                    {9042, "Cassandra"},
                                                                                    {9200, "Elasticsearch"},
                                                                                    {11211, "Memcached"},
                                                                                    {27017, "MongoDB"},
                                                                                    {33060, "MySQL X"}}};

class Checker {
 public:
  explicit Checker(const load::LoadResult& loaded) : loaded_{loaded}, project_{*loaded.project} {}

  Result<Report> run() {
    TRY(read_waivers(loaded_.canonical.get("x-waive"), ""));
    const yaml::Value* services = loaded_.canonical.get("services");
    for (const auto& [name, service] : project_.services) {
      const yaml::Value* written = services == nullptr ? nullptr : services->get(name);
      TRY(read_waivers(written == nullptr ? nullptr : written->get("x-waive"), name));
    }
    for (const auto& [name, service] : project_.services) check(service);
    for (const auto& [key, waiver] : waivers_)
      if (!waiver.used)
        report_.unused.push_back(fmt::format("{}: the waiver of {} for {} is not needed (any more)", waiver.place,
                                             key.second,
                                             key.first.empty() ? "all services" : "service \"" + key.first + "\""));
    std::ranges::stable_sort(report_.findings, {}, [](const Finding& one) { return std::tie(one.service, one.rule); });
    return std::move(report_);
  }

 private:
  struct Waiver {
    std::string reason;
    std::string place;
    bool used = false;
  };

  Result<void> read_waivers(const yaml::Value* value, const std::string& service) {
    if (value == nullptr || value->is_null()) return {};
    const auto wrong = [&](const yaml::Place& place, const std::string& what) {
      return make_error(Errc::invalid, "{}: x-waive: {}", loaded_.sources.describe(place), what);
    };
    const yaml::Mapping* mapping = value->if_mapping();
    if (mapping == nullptr) return wrong(value->place, "write RULE: REASON");
    for (const yaml::Entry& entry : *mapping) {
      if (std::ranges::find(kRules, entry.key, &Rule::name) == kRules.end()) {
        std::vector<std::string> names;
        for (const Rule& rule : kRules) names.emplace_back(rule.name);
        return wrong(entry.key_place, fmt::format("there is no rule \"{}\" ({})", entry.key, join(names, ", ")));
      }
      const std::string* reason = entry.value.if_string();
      if (reason == nullptr || trim(*reason).empty())
        return wrong(entry.key_place, fmt::format("the waiver of \"{}\" needs a reason", entry.key));
      waivers_[{service, entry.key}] = {*reason, loaded_.sources.describe(entry.key_place)};
    }
    return {};
  }

  void find(std::string_view rule, const model::Service& service, const std::string& path, std::string message) {
    Finding finding{std::string{rule},
                    service.name,
                    project_.where("services." + service.name + (path.empty() ? "" : "." + path)).to_string(),
                    std::move(message),
                    {}};
    for (const std::string& owner : {service.name, std::string{}}) {
      const auto waiver = waivers_.find({owner, finding.rule});
      if (waiver == waivers_.end() || !finding.waived.empty()) continue;
      finding.waived = waiver->second.reason;
      waiver->second.used = true;
    }
    report_.findings.push_back(std::move(finding));
  }

  bool is_one_shot(const model::Service& service) const {
    if (service.deploy && (service.deploy->mode == "replicated-job" || service.deploy->mode == "global-job"))
      return true;
    return std::ranges::any_of(project_.services, [&](const auto& other) {
      const auto found = other.second.depends_on.find(service.name);
      return found != other.second.depends_on.end() &&
             found->second.condition == model::Condition::completed_successfully;
    });
  }

  void check(const model::Service& service) {
    check_environment(service);
    check_image(service);
    check_ports(service);
    check_rights(service);
    const bool limited =
        service.mem_limit || (service.deploy && service.deploy->limits && service.deploy->limits->memory);
    if (!limited) find("no-limit", service, "", "no memory limit: set mem_limit, or deploy.resources.limits.memory");
    if (is_one_shot(service)) return;  // its end is its purpose
    const bool disabled =
        service.healthcheck && (service.healthcheck->disable || service.healthcheck->test == model::Strings{"NONE"});
    if (!service.healthcheck || disabled)
      find("no-healthcheck", service, disabled ? "healthcheck" : "",
           disabled ? "its health check is switched off" : "no health check in the files: add healthcheck.test");
    const bool restarts =
        (!service.restart.empty() && service.restart != "no") || (service.deploy && service.deploy->restart_policy);
    if (!restarts) find("no-restart", service, "restart", "no restart policy: set restart: unless-stopped");
  }

  void check_environment(const model::Service& service) {
    for (const auto& [name, value] : service.environment) {
      if (!value) continue;
      if (turns_debugging_on(name, *value))
        find("debug-setting", service, "environment." + name, fmt::format("{}={} is for development", name, *value));
      if (!value->empty() && names_a_secret(name))
        find("secret-in-environment", service, "environment." + name,
             fmt::format("{} holds a secret: use secrets, and {}_FILE where the image knows it", name, name));
    }
  }

  void check_image(const model::Service& service) {
    if (service.image.empty() || service.build) return;
    const auto tag = tag_of(service.image);
    if (!tag) return;
    if (tag->empty())
      return find("moving-tag", service, "image",
                  fmt::format("\"{}\" has no tag, so it is the newest: name a version", service.image));
    if (one_of(*tag, {"latest", "stable", "edge", "dev", "develop", "nightly", "main", "master", "rolling", "lts"}))
      find("moving-tag", service, "image",
           fmt::format("\"{}\": the tag \"{}\" moves: name a version or a digest", service.image, *tag));
  }

  void check_ports(const model::Service& service) {
    for (std::size_t i = 0; i < service.ports.size(); ++i) {
      const model::Port& port = service.ports[i];
      const auto* database = std::ranges::find(kDatabases, static_cast<std::uint16_t>(port.target),
                                               &std::pair<std::uint16_t, std::string_view>::first);
      const bool local = port.host_ip.starts_with("127.") || port.host_ip == "::1";
      if (database == kDatabases.end() || local) continue;
      find("published-database", service, fmt::format("ports[{}]", i),
           fmt::format("{} (port {}) is published on {}: leave it to the project's network, or publish it on 127.0.0.1",
                       database->second, port.target, port.host_ip.empty() ? "all addresses" : port.host_ip));
    }
  }

  void check_rights(const model::Service& service) {
    if (service.privileged)
      find("privileged", service, "privileged", "privileged: true gives it the host's devices and rights");
    for (std::size_t i = 0; i < service.volumes.size(); ++i)
      if (one_of(service.volumes[i].source, {"/var/run/docker.sock", "/run/docker.sock", "/"}))
        find("privileged", service, fmt::format("volumes[{}]", i),
             fmt::format("{} in a container is the host's root", service.volumes[i].source));
    for (const std::string& name : service.cap_add)
      if (one_of(name, {"ALL", "SYS_ADMIN", "CAP_SYS_ADMIN"}))
        find("privileged", service, "cap_add", fmt::format("cap_add: {} is as good as privileged", name));
  }

  const load::LoadResult& loaded_;
  const model::Project& project_;
  std::map<std::pair<std::string, std::string>, Waiver> waivers_;  ///< service ("" = all) and rule
  Report report_;
};

}  // namespace

std::span<const Rule> rules() { return kRules; }

Result<Report> check(const load::LoadResult& loaded) {
  if (!loaded.project) return make_error(Errc::invalid, "there is no project to check");
  return Checker{loaded}.run();
}

}  // namespace compose::compare

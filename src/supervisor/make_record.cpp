// From a service and its image to the record of one container.
#include <algorithm>

#include "base/ids.hpp"
#include "base/strings.hpp"
#include "compose/plan/reconcile.hpp"
#include "container/effective.hpp"
#include "container/log_options.hpp"
#include "net/address.hpp"
#include "supervisor/application.hpp"
#include "supervisor/policy/health.hpp"
#include "supervisor/policy/restart.hpp"

namespace compose::supervisor {

using state::ContainerRecord;

namespace {

constexpr const char* kVersion = COMPOSE_VERSION;

const char* condition_name(model::Condition condition) {
  switch (condition) {
    case model::Condition::healthy:
      return "service_healthy";
    case model::Condition::completed_successfully:
      return "service_completed_successfully";
    case model::Condition::started:
      break;
  }
  return "service_started";
}

std::map<std::string, std::string> labels_of(const Application& application, const model::Service& service,
                                             const image::Image& image, const Place& place) {
  auto labels = container::effective_labels(service, image.config);
  const model::Project& project = application.project;
  std::vector<std::string> dependencies;
  for (const auto& [name, dependency] : service.depends_on) {
    dependencies.push_back(fmt::format("{}:{}:{}", name, condition_name(dependency.condition), dependency.restart));
  }
  const auto hash = application.hashes.find(service.name);
  const std::string prefix = "com.docker.compose.";
  labels[prefix + "project"] = project.name;
  labels[prefix + "service"] = service.name;
  labels[prefix + "container-number"] = std::to_string(place.number);
  labels[prefix + "oneoff"] = place.one_off ? "True" : "False";
  labels[prefix + "config-hash"] = hash == application.hashes.end() ? "" : hash->second;
  labels[prefix + "project.working_dir"] = project.working_dir;
  labels[prefix + "project.config_files"] = join(project.files, ",");
  labels[prefix + "depends_on"] = join(dependencies, ",");
  labels[prefix + "image"] = image.id;
  labels[prefix + "version"] = kVersion;
  return labels;
}

/// The service's networks, the ones with the highest priority first (they become eth0, eth1, …).
std::vector<std::string> ordered_networks(const model::Service& service) {
  std::vector<std::string> keys;
  for (const auto& [key, network] : service.networks) keys.push_back(key);
  std::ranges::stable_sort(keys, [&](const std::string& a, const std::string& b) {
    return service.networks.at(a).priority > service.networks.at(b).priority;
  });
  return keys;
}

/// The network the default route leads through: the highest gw_priority, else the first; internal ones lead nowhere.
std::string gateway_network(const model::Project& project, const model::Service& service,
                            const std::vector<std::string>& keys) {
  std::string best;
  for (const std::string& key : keys) {
    const auto network = project.networks.find(key);
    if (network != project.networks.end() && network->second.internal) continue;
    if (best.empty() || service.networks.at(key).gw_priority > service.networks.at(best).gw_priority) best = key;
  }
  return best;
}

/// What a service says about its interface on one network, beside the addresses.
Result<void> add_interface(const model::ServiceNetwork& wanted, state::NetworkRecord& network) {
  constexpr std::size_t kLongestName = 15;  // IFNAMSIZ with its zero
  const auto named = wanted.driver_opts.find("com.docker.network.endpoint.ifname");
  network.interface = !wanted.interface_name.empty()      ? wanted.interface_name
                      : named != wanted.driver_opts.end() ? named->second
                                                          : "";
  if (network.interface.size() > kLongestName || network.interface.find_first_of("/: \t") != std::string::npos ||
      network.interface == "lo" || network.interface == "." || network.interface == "..")
    return make_error(Errc::invalid, "interface_name: \"{}\" cannot be an interface's name (1 to 15 bytes, no \"/\")",
                      network.interface);
  for (const std::string& text : wanted.link_local_ips) {
    TRY_ASSIGN(const auto address, net::IpAddress::parse(text).with("link_local_ips"));
    if (!address.is_link_local()) return make_error(Errc::invalid, "link_local_ips: {} is not link-local", text);
    network.link_local.push_back(text + (address.is_v4() ? "/16" : "/64"));
  }
  for (const auto& [name, value] : wanted.driver_opts) {
    if (name == "com.docker.network.endpoint.ifname") continue;
    if (name != "com.docker.network.endpoint.sysctls")
      return make_error(Errc::unsupported,
                        "driver_opts: \"{}\" is not known here (there are "
                        "com.docker.network.endpoint.sysctls and .ifname)",
                        name);
    for (const std::string& setting : split(value, ',')) {
      const auto equals = setting.find('=');
      const bool known =
          setting.starts_with("net.ipv4.") || setting.starts_with("net.ipv6.") || setting.starts_with("net.mpls.");
      if (!known || equals == std::string::npos || setting.find("IFNAME") == std::string::npos)
        return make_error(Errc::invalid,
                          "driver_opts: \"{}\" is no setting of an interface such as "
                          "net.ipv4.conf.IFNAME.log_martians=1",
                          setting);
      network.sysctls[setting.substr(4, equals - 4)] = setting.substr(equals + 1);
    }
  }
  return {};
}

Result<void> add_networks(const model::Project& project, const model::Service& service, const Place& place,
                          ContainerRecord& record) {
  record.network_mode = service.network_mode;
  record.virtual_address = service.deploy && service.deploy->endpoint_mode == "vip" && !place.one_off;
  const std::string& mode = service.network_mode;
  if (mode.starts_with("service:") || mode.starts_with("container:")) {
    record.joins["network"] = mode;
    return {};
  }
  if (mode == "host" || mode == "none") return {};
  const auto keys = ordered_networks(service);
  const std::string gateway = gateway_network(project, service, keys);
  for (const std::string& key : keys) {
    const model::ServiceNetwork& wanted = service.networks.at(key);
    state::NetworkRecord& network = record.networks.emplace_back();
    network.key = key;
    const auto known = project.networks.find(key);
    network.name = known == project.networks.end() ? project.name + "_" + key : known->second.name;
    if (place.use_aliases) {
      network.aliases.push_back(service.name);
      std::ranges::copy(wanted.aliases, std::back_inserter(network.aliases));
    }
    network.aliases.push_back(short_id(place.id));
    // A second container cannot have the address that the service was given.
    if (!place.one_off) {
      network.wanted_ipv4 = wanted.ipv4_address;
      network.wanted_ipv6 = wanted.ipv6_address;
      network.wanted_mac = wanted.mac_address;
      if (network.wanted_mac.empty() && record.networks.size() == 1) network.wanted_mac = service.mac_address;
    }
    network.default_route = key == gateway;
    TRY(add_interface(wanted, network).with("networks.{}", key));
  }
  return {};
}

Result<void> add_ports(const model::Service& service, ContainerRecord& record) {
  for (const model::Port& port : service.ports) {
    state::PortRecord entry;
    entry.host_ip = port.host_ip;
    entry.container_port = port.target;
    entry.protocol = port.protocol.empty() ? "tcp" : port.protocol;
    const auto dash = port.published.find('-');
    const auto first = parse_unsigned(port.published.substr(0, dash));
    const auto last = dash == std::string::npos ? first : parse_unsigned(port.published.substr(dash + 1));
    if (!port.published.empty()) {
      if (!first || !last || *last > 65535 || *first > *last) {
        return make_error(Errc::invalid, "\"{}\" is no port and no range of ports", port.published);
      }
      entry.wanted_first = static_cast<std::uint16_t>(*first);
      if (dash != std::string::npos) entry.wanted_last = static_cast<std::uint16_t>(*last);
    }
    record.ports.push_back(std::move(entry));
  }
  return {};
}

Result<void> add_log_options(const Application& application, const model::Service& service,
                             const image::ImageConfig& image, ContainerRecord& record) {
  std::string path;
  auto log = container::log_record({service, record.project, record.id, record.name, record.image_ref, record.image_id,
                                    record.labels, container::effective_environment(service, image, record.hostname)},
                                   path);
  if (!log) {
    const auto position = application.project.where("services." + service.name + "." + path);
    return std::move(log).with("{}", position.to_string()).error();
  }
  record.log = *std::move(log);
  return {};
}

Result<void> add_policies(const model::Service& service, const image::ImageConfig& image, ContainerRecord& record) {
  if (!record.one_off) {
    TRY_ASSIGN(const auto restart, policy::restart_spec(service));
    using Condition = policy::RestartSpec::Condition;
    constexpr std::pair<Condition, const char*> kNames[] = {{Condition::never, "no"},
                                                            {Condition::on_failure, "on-failure"},
                                                            {Condition::always, "always"},
                                                            {Condition::unless_stopped, "unless-stopped"}};
    for (const auto& [condition, name] : kNames) {
      if (condition == restart.condition) record.restart.condition = name;
    }
    record.restart.max_attempts = restart.max_attempts.value_or(0);
    record.restart.delay = restart.delay;
    record.restart.window = restart.window;
    record.restart.on_unhealthy = restart.on_unhealthy;
  }
  const auto shell = image.shell.empty() ? std::vector<std::string>{"/bin/sh", "-c"} : image.shell;
  if (const auto health = policy::health_spec(container::effective_healthcheck(service, image), shell)) {
    record.healthcheck = {health->command,      health->interval,       health->timeout,
                          health->start_period, health->start_interval, health->retries};
  }
  record.stop_signal = container::effective_stop_signal(service, image);
  record.stop_grace = service.stop_grace_period.value_or(std::chrono::seconds{10});
  return {};
}

/// The commands that run inside it; whatever runs beside a service (`run`, a hook) has none.
void add_hooks(const model::Project& project, const model::Service& service, ContainerRecord& record) {
  if (record.one_off) return;
  const auto add = [&](const char* phase, const std::vector<model::Hook>& hooks,
                       std::vector<state::HookRecord>& records) {
    for (std::size_t i = 0; i < hooks.size(); ++i) {
      const model::Hook& hook = hooks[i];
      state::HookRecord& entry = records.emplace_back();
      entry.command = hook.command.value_or(model::Strings{});
      entry.user = hook.user;
      entry.working_dir = hook.working_dir;
      entry.privileged = hook.privileged;
      for (const auto& [name, value] : hook.environment) {
        if (value) entry.environment.push_back(name + "=" + *value);
      }
      entry.position = project.where(fmt::format("services.{}.{}[{}]", service.name, phase, i)).to_string();
    }
  };
  add("post_start", service.post_start, record.post_start);
  add("pre_stop", service.pre_stop, record.pre_stop);
  if (service.schedule) record.schedule = *service.schedule;
  for (const model::Hook& hook : service.pre_start) record.pre_start.push_back(hook.per_replica);
}

void add_links(const model::Service& service, ContainerRecord& record) {
  const auto add = [&](const std::string& link, const char* kind) {
    const auto colon = link.find(':');
    const std::string target = link.substr(0, colon);
    record.links[colon == std::string::npos ? target : link.substr(colon + 1)] = kind + target;
  };
  for (const std::string& link : service.links) add(link, "service:");
  for (const std::string& link : service.external_links) add(link, "container:");
  for (const auto& [type, mode] : {std::pair{"ipc", service.ipc}, std::pair{"pid", service.pid}}) {
    if (mode.starts_with("service:") || mode.starts_with("container:")) record.joins[type] = mode;
  }
}

}  // namespace

Result<ContainerRecord> make_record(const Application& application, const Place& place) {
  const model::Service& service = application.project.services.at(place.service);
  const auto chosen = application.images.find(place.service);
  if (chosen == application.images.end()) {
    return make_error(Errc::not_found, "image \"{}\" is not in the store", service.image);
  }
  const image::Image& image = application.loaded.at(chosen->second);
  ContainerRecord record;
  record.id = place.id;
  record.name = place.name;
  record.project = application.project.name;
  record.service = place.service;
  record.number = place.number;
  record.one_off = place.one_off;
  record.auto_remove = place.auto_remove;
  record.image_ref = service.image.empty() ? application.project.name + "-" + service.name : service.image;
  record.image_id = image.id;
  if (const auto hash = application.hashes.find(place.service); hash != application.hashes.end()) {
    record.config_hash = hash->second;
  }
  if (const auto attributes = application.attributes.find(place.service); attributes != application.attributes.end()) {
    record.made_from = plan::attributes_to_json(attributes->second);
  }
  record.command = container::effective_command(service, image.config);
  record.labels = labels_of(application, service, image, place);
  record.created_at = std::chrono::system_clock::now();
  record.hostname = container::effective_hostname(service, place.id);
  record.cgroup = state::Paths::cgroup(record.project, record.id);
  TRY(add_networks(application.project, service, place, record));
  if (place.service_ports) TRY(add_ports(service, record));
  record.exposed = container::effective_exposed_ports(service, image.config);
  add_links(service, record);
  record.dns = service.dns;
  record.dns_search = service.dns_search;
  record.depends_on = service.depends_on;
  record.shares_with = plan::shares_with(service);
  record.tty = service.tty;
  record.open_stdin = service.stdin_open;
  TRY(add_policies(service, image.config, record));
  add_hooks(application.project, service, record);
  TRY(add_log_options(application, service, image.config, record));
  return record;
}

}  // namespace compose::supervisor

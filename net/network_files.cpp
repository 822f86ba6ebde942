#include "net/network_files.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <nlohmann/json.hpp>

#include "base/schema.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

namespace compose::net {

namespace {

using nlohmann::json;
constexpr int kSchema = 1;
constexpr mode_t kPrivate = 0600;

json to_json(const Pool& pool) {
  return {{"subnet", pool.subnet}, {"ip_range", pool.ip_range}, {"gateway", pool.gateway}, {"aux", pool.aux_addresses}};
}

Pool pool_from(const json& value) {
  return {value.at("subnet"), value.at("ip_range"), value.at("gateway"),
          value.at("aux").get<std::map<std::string, std::string>>()};
}

json to_json(const NetworkSpec& spec) {
  json pools = json::array();
  for (const Pool& pool : spec.pools) pools.push_back(to_json(pool));
  return {{"project", spec.project},
          {"key", spec.key},
          {"name", spec.name},
          {"driver", spec.driver},
          {"internal", spec.internal},
          {"attachable", spec.attachable},
          {"enable_ipv4", spec.enable_ipv4},
          {"enable_ipv6", spec.enable_ipv6},
          {"pools", pools},
          {"labels", spec.labels},
          {"options", spec.options}};
}

NetworkSpec spec_from(const json& value) {
  NetworkSpec spec;
  spec.project = value.at("project");
  spec.key = value.at("key");
  spec.name = value.at("name");
  spec.driver = value.at("driver");
  spec.internal = value.at("internal");
  spec.attachable = value.at("attachable");
  spec.enable_ipv4 = value.at("enable_ipv4");
  spec.enable_ipv6 = value.at("enable_ipv6");
  for (const json& pool : value.at("pools")) spec.pools.push_back(pool_from(pool));
  spec.labels = value.at("labels").get<std::map<std::string, std::string>>();
  spec.options = value.at("options").get<std::map<std::string, std::string>>();
  return spec;
}

json to_json(const Network& network) {
  json subnets = json::array();
  for (const Subnet& subnet : network.subnets) subnets.push_back({{"cidr", subnet.cidr}, {"gateway", subnet.gateway}});
  return {{"schema", kSchema},
          {"spec", to_json(network.spec)},
          {"id", network.id},
          {"bridge", network.bridge},
          {"subnets", subnets},
          {"mtu", network.mtu},
          {"created_at", network.created_at}};
}

Network network_from(const json& value) {
  Network network;
  network.spec = spec_from(value.at("spec"));
  network.id = value.at("id");
  network.bridge = value.at("bridge");
  for (const json& subnet : value.at("subnets")) network.subnets.push_back({subnet.at("cidr"), subnet.at("gateway")});
  network.mtu = value.at("mtu");
  network.created_at = value.at("created_at");
  return network;
}

json to_json(const Lease& lease) {
  return {{"owner", lease.owner},
          {"container", lease.container_id},
          {"ipv4", lease.ipv4_cidr},
          {"ipv6", lease.ipv6_cidr},
          {"mac", lease.mac}};
}

Lease lease_from(const std::string& network, const json& value) {
  return {network, value.at("owner"), value.at("container"), value.at("ipv4"), value.at("ipv6"), value.at("mac")};
}

json to_json(const Publication& port) {
  return {{"project", port.project},
          {"container", port.container_id},
          {"label", port.label},
          {"host_ip", port.host_ip},
          {"host_port", port.host_port},
          {"protocol", port.protocol},
          {"container_ip", port.container_ip},
          {"container_ip6", port.container_ip6},
          {"container_port", port.container_port},
          {"bridge", port.bridge}};
}

Publication publication_from(const json& value) {
  Publication port;
  port.project = value.at("project");
  port.container_id = value.at("container");
  port.label = value.at("label");
  port.host_ip = value.at("host_ip");
  port.host_port = value.at("host_port");
  port.protocol = value.at("protocol");
  port.container_ip = value.at("container_ip");
  port.container_ip6 = value.at("container_ip6");
  port.container_port = value.at("container_port");
  port.bridge = value.at("bridge");
  return port;
}

/// Reads a file of ours and hands its JSON to `convert`; the default value when there is no file.
template <typename Value, typename Convert>
Result<Value> load_file(const std::string& path, Value none, Convert convert) {
  auto text = sys::read_file(path);
  if (!text.ok()) {
    if (text.error().sys_errno() == ENOENT) return none;
    return std::move(text).error();
  }
  try {
    const json value = json::parse(*text);
    TRY(check_schema(value.value("schema", 0), kSchema).with("reading {}", path));
    return Value{convert(value)};
  } catch (const json::exception& failure) {
    return make_error(Errc::corrupt, "{} is damaged: {}", path, failure.what());
  }
}

}  // namespace

Result<void> check_network_name(const std::string& name) {
  const auto allowed = [](char letter, bool first) {
    const bool alphanumeric =
        (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || (letter >= '0' && letter <= '9');
    return alphanumeric || (!first && (letter == '_' || letter == '.' || letter == '-'));
  };
  constexpr std::size_t kLimit = 200;  // a file name has 255 bytes
  bool good = !name.empty() && name.size() <= kLimit;
  for (std::size_t i = 0; good && i < name.size(); ++i) good = allowed(name[i], i == 0);
  if (good) return {};
  return make_error(
      Errc::invalid,
      "\"{}\" cannot be a network's name: letters, digits, \"_\", \".\" and \"-\", first a letter or a digit", name);
}

Result<sys::FileLock> NetworkFiles::lock() const {
  // The directory itself is the lock: no file of ours stays behind when the last network is gone.
  const std::string path = state_root_ + "/networks";
  TRY(sys::make_directories(path));
  UniqueFd directory{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!directory.valid()) return os_error("open {}", path);
  if (retry_eintr([&] { return ::flock(directory.get(), LOCK_EX); }) != 0) return os_error("lock {}", path);
  return sys::FileLock::adopt(std::move(directory));
}

std::string NetworkFiles::network_path(const std::string& name) const {
  return state_root_ + "/networks/" + name + ".json";
}
std::string NetworkFiles::leases_path(const std::string& name) const {
  return state_root_ + "/networks/" + name + ".leases";
}

Result<std::vector<std::string>> NetworkFiles::names() const {
  TRY_ASSIGN(const std::vector<std::string> files, sys::list_directory(state_root_ + "/networks"));
  std::vector<std::string> names;
  for (const std::string& file : files)
    if (file.ends_with(".json")) names.push_back(file.substr(0, file.size() - 5));
  return names;
}

Result<std::optional<Network>> NetworkFiles::load(const std::string& name) const {
  TRY(check_network_name(name));
  return load_file<std::optional<Network>>(network_path(name), std::nullopt, network_from);
}

Result<void> NetworkFiles::save(const Network& network) const {
  return sys::write_file_atomic(network_path(network.spec.name), to_json(network).dump(2) + "\n", kPrivate);
}

Result<void> NetworkFiles::erase(const std::string& name) const {
  TRY(sys::remove_tree(leases_path(name)));
  return sys::remove_tree(network_path(name));
}

Result<std::vector<Lease>> NetworkFiles::load_leases(const std::string& network) const {
  return load_file<std::vector<Lease>>(leases_path(network), {}, [&](const json& value) {
    std::vector<Lease> leases;
    for (const json& lease : value.at("leases")) leases.push_back(lease_from(network, lease));
    return leases;
  });
}

Result<void> NetworkFiles::save_leases(const std::string& network, const std::vector<Lease>& leases) const {
  json list = json::array();
  for (const Lease& lease : leases) list.push_back(to_json(lease));
  return sys::write_file_atomic(leases_path(network), json{{"schema", kSchema}, {"leases", list}}.dump() + "\n",
                                kPrivate);
}

Result<std::vector<Publication>> NetworkFiles::load_ports() const {
  return load_file<std::vector<Publication>>(ports_path(), {}, [](const json& value) {
    std::vector<Publication> ports;
    if (value.at("boot_id") != sys::boot_id()) return ports;
    for (const json& port : value.at("ports")) ports.push_back(publication_from(port));
    return ports;
  });
}

Result<void> NetworkFiles::save_ports(const std::vector<Publication>& ports) const {
  if (ports.empty()) return sys::remove_tree(ports_path());
  json list = json::array();
  for (const Publication& port : ports) list.push_back(to_json(port));
  const json file{{"schema", kSchema}, {"boot_id", sys::boot_id()}, {"ports", list}};
  return sys::write_file_atomic(ports_path(), file.dump() + "\n", kPrivate);
}

Result<std::vector<Spread>> NetworkFiles::load_spreads() const {
  return load_file<std::vector<Spread>>(spreads_path(), {}, [](const json& value) {
    std::vector<Spread> spreads;
    if (value.at("boot_id") != sys::boot_id()) return spreads;
    for (const json& one : value.at("spreads"))
      spreads.push_back({one.at("owner"), one.at("network"), one.at("bridge"), one.at("address4"), one.at("address6"),
                         one.at("targets4").get<std::vector<std::string>>(),
                         one.at("targets6").get<std::vector<std::string>>(), one.at("hold").get<bool>()});
    return spreads;
  });
}

Result<void> NetworkFiles::save_spreads(const std::vector<Spread>& spreads) const {
  if (spreads.empty()) return sys::remove_tree(spreads_path());
  json list = json::array();
  for (const Spread& one : spreads)
    list.push_back({{"owner", one.owner},
                    {"network", one.network},
                    {"bridge", one.bridge},
                    {"address4", one.address4},
                    {"address6", one.address6},
                    {"targets4", one.targets4},
                    {"targets6", one.targets6},
                    {"hold", one.hold}});
  const json file{{"schema", kSchema}, {"boot_id", sys::boot_id()}, {"spreads", list}};
  return sys::write_file_atomic(spreads_path(), file.dump() + "\n", kPrivate);
}

Result<std::map<std::string, std::string>> NetworkFiles::load_sysctls() const {
  using Settings = std::map<std::string, std::string>;
  return load_file<Settings>(sysctls_path(), {}, [](const json& value) {
    if (value.at("boot_id") != sys::boot_id()) return Settings{};
    return value.at("sysctls").get<Settings>();
  });
}

Result<void> NetworkFiles::save_sysctls(const std::map<std::string, std::string>& sysctls) const {
  if (sysctls.empty()) return sys::remove_tree(sysctls_path());
  TRY(sys::make_directories(run_root_));
  const json file{{"schema", kSchema}, {"boot_id", sys::boot_id()}, {"sysctls", sysctls}};
  return sys::write_file_atomic(sysctls_path(), file.dump() + "\n", kPrivate);
}

}  // namespace compose::net

// compose network …: the networks of this host, those of projects included.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/ids.hpp"
#include "base/strings.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/listing.hpp"
#include "cli/network_filter.hpp"
#include "cli/prompt.hpp"
#include "net/networks.hpp"

namespace compose::cli {
namespace {

using Json = nlohmann::ordered_json;

net::Networks open_networks(const Context& context) {
  return net::Networks{context.paths().root(), context.paths().run_root()};
}

std::string driver_of(const net::Network& network) {
  return network.spec.driver.empty() ? "bridge" : network.spec.driver;
}

/// The container behind a lease, while it runs.
std::optional<state::ContainerRecord> running(const Context& context, const net::Lease& lease) {
  const std::string project = lease.owner.substr(0, lease.owner.find('/'));
  auto record = state::load_record(context.paths(), project, lease.container_id);
  if (!record) return std::nullopt;
  auto observed = state::observe(context.paths(), *std::move(record));
  if (observed.phase != state::Phase::running) return std::nullopt;
  return observed;
}

Result<std::vector<state::ContainerRecord>> containers_on(const Context& context, net::Networks& networks,
                                                          const net::Network& network) {
  std::vector<state::ContainerRecord> found;
  TRY_ASSIGN(const auto leases, networks.leases(network.spec.name));
  for (const net::Lease& lease : leases)
    if (auto record = running(context, lease)) found.push_back(*std::move(record));
  return found;
}

/// By name, by id, or by the beginning of an id that only one network has.
Result<net::Network> must_find(net::Networks& networks, const std::string& text) {
  TRY_ASSIGN(auto all, networks.list());
  std::vector<net::Network> fitting;
  for (net::Network& network : all) {
    if (network.spec.name == text || network.id == text) return std::move(network);
    if (!text.empty() && network.id.starts_with(text)) fitting.push_back(std::move(network));
  }
  if (fitting.size() == 1) return std::move(fitting.front());
  if (fitting.empty()) return make_error(Errc::not_found, "there is no network \"{}\" (see \"network ls\")", text);
  return make_error(Errc::invalid, "\"{}\" is the beginning of {} network ids: give more of it", text, fitting.size());
}

struct ListOptions {
  Strings filters;
  std::string format = "table";
  bool no_trunc = false;
  bool quiet = false;
};

/// Does any of its containers run? Only asked where a filter wants to know.
Result<bool> in_use(const Context& context, net::Networks& networks, const net::Network& network) {
  TRY_ASSIGN(const auto found, containers_on(context, networks, network));
  return !found.empty();
}

Result<int> list(const Context& context, const ListOptions& options) {
  TRY_ASSIGN(const NetworkFilter filter, NetworkFilter::parse(options.filters));
  net::Networks networks = open_networks(context);
  TRY_ASSIGN(const auto all, networks.list());
  std::vector<Json> rows;
  std::string ids;
  for (const net::Network& network : all) {
    if (!filter.fits(network)) continue;
    if (filter.dangling) {
      TRY_ASSIGN(const bool used, in_use(context, networks, network));
      if (used == *filter.dangling) continue;
    }
    const std::string id = options.no_trunc ? network.id : short_id(network.id);
    Strings labels;
    for (const auto& [key, value] : network.spec.labels) labels.push_back(key + "=" + value);
    ids += id + "\n";
    rows.push_back({{"CreatedAt", network.created_at},
                    {"Driver", driver_of(network)},
                    {"ID", id},
                    {"IPv4", network.spec.enable_ipv4 ? "true" : "false"},
                    {"IPv6", network.spec.enable_ipv6 ? "true" : "false"},
                    {"Internal", network.spec.internal ? "true" : "false"},
                    {"Labels", join(labels, ",")},
                    {"Name", network.spec.name},
                    {"Scope", "local"}});
  }
  if (options.quiet) {
    TRY(print(ids));
    return 0;
  }
  const Listing listing{{{"NETWORK ID", "ID"}, {"NAME", "Name"}, {"DRIVER", "Driver"}, {"SCOPE", "Scope"}}};
  TRY_ASSIGN(const std::string text, render_listing(listing, options.format, rows));
  TRY(print(text));
  return 0;
}

Json ipam_json(const net::Network& network) {
  Json config = Json::array();
  for (const net::Subnet& subnet : network.subnets) {
    Json entry = {{"Subnet", subnet.cidr}};
    for (const net::Pool& pool : network.spec.pools) {
      if (pool.subnet != subnet.cidr) continue;
      if (!pool.ip_range.empty()) entry["IPRange"] = pool.ip_range;
      if (!pool.aux_addresses.empty()) entry["AuxiliaryAddresses"] = pool.aux_addresses;
    }
    if (!subnet.gateway.empty()) entry["Gateway"] = subnet.gateway;
    config.push_back(std::move(entry));
  }
  return {{"Driver", "default"}, {"Options", Json::object()}, {"Config", std::move(config)}};
}

Result<Json> inspect_json(const Context& context, net::Networks& networks, const net::Network& network) {
  TRY_ASSIGN(const auto found, containers_on(context, networks, network));
  Json containers = Json::object();
  for (const state::ContainerRecord& record : found)
    for (const state::NetworkRecord& place : record.networks)
      if (place.name == network.spec.name)
        containers[record.id] = {
            {"Name", record.name}, {"MacAddress", place.mac}, {"IPv4Address", place.ipv4}, {"IPv6Address", place.ipv6}};
  return Json{{"Name", network.spec.name},
              {"Id", network.id},
              {"Created", network.created_at},
              {"Scope", "local"},
              {"Driver", driver_of(network)},
              {"EnableIPv4", network.spec.enable_ipv4},
              {"EnableIPv6", network.spec.enable_ipv6},
              {"IPAM", ipam_json(network)},
              {"Internal", network.spec.internal},
              {"Attachable", network.spec.attachable},
              {"Ingress", false},
              {"Interface", network.bridge},
              {"Mtu", network.mtu},
              {"Containers", std::move(containers)},
              {"Options", network.spec.options},
              {"Labels", network.spec.labels}};
}

Result<int> inspect(const Context& context, const std::string& format, const Strings& names) {
  net::Networks networks = open_networks(context);
  Json all = Json::array();
  for (const std::string& name : names) {
    TRY_ASSIGN(const net::Network network, must_find(networks, name));
    TRY_ASSIGN(Json object, inspect_json(context, networks, network));
    all.push_back(std::move(object));
  }
  if (format.empty() || format == "json") {
    TRY(print(all.dump(4) + "\n"));
    return 0;
  }
  TRY_ASSIGN(const std::string text, render_listing({}, format, std::vector<Json>{all.begin(), all.end()}));
  TRY(print(text));
  return 0;
}

struct CreateOptions {
  std::string driver = "bridge";
  Strings subnets, gateways, ranges, auxiliary, labels, options;
  std::string ipam_driver = "default";
  std::string scope;
  bool attachable = false, internal = false, ipv6 = false;
  std::optional<bool> ipv4;
};

Result<int> create(const Context& context, const CreateOptions& options, const std::string& name) {
  if (options.ipam_driver != "default")
    return make_error(Errc::unsupported, "--ipam-driver {}: there is only the default one", options.ipam_driver);
  if (!options.scope.empty() && options.scope != "local")
    return make_error(Errc::unsupported, "--scope {}: networks here belong to one host (local)", options.scope);
  net::NetworkSpec spec;
  spec.name = name;
  spec.driver = options.driver;
  spec.internal = options.internal;
  spec.attachable = options.attachable;
  spec.enable_ipv4 = options.ipv4.value_or(true);
  spec.enable_ipv6 = options.ipv6;
  TRY_ASSIGN(spec.pools, pools_from(options.subnets, options.ranges, options.gateways, options.auxiliary));
  for (const std::string& label : options.labels) {
    const auto equals = label.find('=');
    spec.labels[label.substr(0, equals)] = equals == std::string::npos ? "" : label.substr(equals + 1);
  }
  for (const std::string& option : options.options) {
    const auto equals = option.find('=');
    if (equals == std::string::npos) return make_error(Errc::invalid, "--opt {}: NAME=VALUE is wanted", option);
    spec.options[option.substr(0, equals)] = option.substr(equals + 1);
  }
  net::Networks networks = open_networks(context);
  TRY_ASSIGN(const auto existing, networks.find(name));
  if (existing) return make_error(Errc::exists, "there is a network \"{}\" already", name);
  TRY_ASSIGN(const net::Network made, networks.ensure(spec));
  TRY(print(made.id + "\n"));
  return 0;
}

/// Errors: busy, naming the containers that run on it.
Result<void> remove_one(const Context& context, net::Networks& networks, const std::string& text) {
  TRY_ASSIGN(const net::Network network, must_find(networks, text));
  TRY_ASSIGN(const auto users, containers_on(context, networks, network));
  Strings names;
  for (const state::ContainerRecord& record : users) names.push_back(record.name);
  if (!names.empty())
    return make_error(Errc::busy, "network \"{}\" is in use by {}: stop what uses it first", network.spec.name,
                      join(names, ", "));
  return networks.remove(network.spec.name);
}

Result<int> remove(Context& context, bool force, const Strings& names) {
  net::Networks networks = open_networks(context);
  int code = 0;
  for (const std::string& name : names) {
    const auto removed = remove_one(context, networks, name);
    if (removed) {
      TRY(print(name + "\n"));
    } else if (!force || removed.error().code() != Errc::not_found) {
      context.warn(removed.error().message());
      code = 1;
    }
  }
  return code;
}

Result<int> prune(const Context& context, bool force, const Strings& filters) {
  TRY_ASSIGN(const NetworkFilter filter, NetworkFilter::parse(filters));
  if (!force) {
    TRY_ASSIGN(const bool yes, confirm("Remove all networks no container uses"));
    if (!yes) return 0;
  }
  net::Networks networks = open_networks(context);
  TRY_ASSIGN(const auto all, networks.list());
  std::string removed;
  for (const net::Network& network : all) {
    if (!filter.fits(network)) continue;
    // A stopped container of a project comes back to its network and its address: that is a use, too.
    TRY_ASSIGN(const auto leases, networks.leases(network.spec.name));
    const bool kept = std::ranges::any_of(leases, [&](const net::Lease& lease) {
      return state::load_record(context.paths(), lease.owner.substr(0, lease.owner.find('/')), lease.container_id).ok();
    });
    if (kept) continue;
    TRY(networks.remove(network.spec.name));
    removed += network.spec.name + "\n";
  }
  if (!removed.empty()) TRY(print("Deleted Networks:\n" + removed));
  return 0;
}

}  // namespace

Command network_ls_command() {
  auto options = std::make_shared<ListOptions>();
  Command command{.name = "network ls", .usage = "[OPTIONS]", .summary = "List networks"};
  command.flags = {{"filter", 'f', &options->filters, "driver=, id=, label=, name=, type=, dangling=", "FILTER"},
                   {"format", 0, &options->format, "table, json or a Go template", "FORMAT"},
                   {"no-trunc", 0, &options->no_trunc, "Whole ids"},
                   {"quiet", 'q', &options->quiet, "Only ids"}};
  command.max_args = 0;
  command.run = [options](Context& context, const Strings&) { return list(context, *options); };
  return command;
}

Command network_inspect_command() {
  auto format = std::make_shared<std::string>();
  auto verbose = std::make_shared<bool>(false);
  Command command{
      .name = "network inspect", .usage = "[OPTIONS] NETWORK...", .summary = "Show networks and who is on them"};
  command.flags = {{"format", 'f', format.get(), "json or a Go template", "FORMAT"},
                   {"verbose", 'v', verbose.get(), "Changes nothing: all there is is shown anyway"}};
  command.min_args = 1;
  command.run = [format, verbose](Context& context, const Strings& names) { return inspect(context, *format, names); };
  return command;
}

Command network_create_command() {
  auto options = std::make_shared<CreateOptions>();
  Command command{.name = "network create",
                  .usage = "[OPTIONS] NETWORK",
                  .summary = "Make a network that projects can share as \"external\""};
  command.flags = {{"attachable", 0, &options->attachable, "Noted for others; containers can always join here"},
                   {"aux-address", 0, &options->auxiliary, "An address that is never given away", "NAME=IP"},
                   {"driver", 'd', &options->driver, "bridge, macvlan or ipvlan", "DRIVER"},
                   {"gateway", 0, &options->gateways, "The gateway of a subnet", "IP"},
                   {"internal", 0, &options->internal, "Nothing outside is reachable"},
                   {"ip-range", 0, &options->ranges, "The part of a subnet that addresses come from", "CIDR"},
                   {"ipam-driver", 0, &options->ipam_driver, "Only \"default\"", "DRIVER"},
                   {"ipv4", 0, &options->ipv4, "With IPv4 (the default; --ipv4=false for none)"},
                   {"ipv6", 0, &options->ipv6, "With IPv6"},
                   {"label", 0, &options->labels, "A label", "NAME=VALUE"},
                   {"opt", 'o', &options->options, "An option of the driver", "NAME=VALUE"},
                   {"scope", 0, &options->scope, "Only \"local\"", "SCOPE"},
                   {"subnet", 0, &options->subnets, "A subnet; without one a free one is chosen", "CIDR"}};
  command.min_args = command.max_args = 1;
  command.run = [options](Context& context, const Strings& names) { return create(context, *options, names[0]); };
  return command;
}

Command network_rm_command() {
  auto force = std::make_shared<bool>(false);
  Command command{.name = "network rm", .usage = "[OPTIONS] NETWORK...", .summary = "Remove networks"};
  command.flags = {{"force", 'f', force.get(), "No error for a network that is not there"}};
  command.min_args = 1;
  command.run = [force](Context& context, const Strings& names) { return remove(context, *force, names); };
  return command;
}

Command network_prune_command() {
  auto force = std::make_shared<bool>(false);
  auto filters = std::make_shared<Strings>();
  Command command{.name = "network prune", .usage = "[OPTIONS]", .summary = "Remove networks no container uses"};
  command.flags = {{"filter", 0, filters.get(), "label=, label!=, until=TIME", "FILTER"},
                   {"force", 'f', force.get(), "Do not ask"}};
  command.max_args = 0;
  command.run = [force, filters](Context& context, const Strings&) { return prune(context, *force, *filters); };
  return command;
}

}  // namespace compose::cli

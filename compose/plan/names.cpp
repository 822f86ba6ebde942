#include <algorithm>

#include "base/sha256.hpp"
#include "compose/plan/reconcile.hpp"

namespace compose::plan {
namespace {

constexpr std::string_view kService = "service:";

// Fields with their lengths, so that no two different lists give the same text.
class Fields {
 public:
  Fields& add(std::string_view field) {
    text_ += fmt::format("{}:{};", field.size(), field);
    return *this;
  }
  Fields& add_flag(bool field) { return add(field ? "true" : "false"); }
  Fields& add(const model::StringMap& map) {
    add(fmt::format("{}", map.size()));
    for (const auto& [name, value] : map) add(name).add(value);
    return *this;
  }
  std::string hash() const { return sha256_hex(text_); }

 private:
  std::string text_;
};

}  // namespace

std::string container_name(const model::Project& project, const model::Service& service, int number) {
  if (!service.container_name.empty()) return service.container_name;
  return fmt::format("{}-{}-{}", project.name, service.name, number);
}

bool is_one_shot(const model::Project& project, const std::string& service) {
  const auto found = project.services.find(service);
  if (found != project.services.end() && found->second.deploy) {
    const std::string& mode = found->second.deploy->mode;
    if (mode == "replicated-job" || mode == "global-job") return true;
  }
  return std::ranges::any_of(project.services, [&](const auto& entry) {
    const auto dependency = entry.second.depends_on.find(service);
    return dependency != entry.second.depends_on.end() &&
           dependency->second.condition == model::Condition::completed_successfully;
  });
}

bool restarts_after_success(const model::Service& service) {
  if (service.deploy && service.deploy->restart_policy) {
    const std::string& condition = service.deploy->restart_policy->condition;
    return condition.empty() || condition == "any";
  }
  return service.restart == "always" || service.restart == "unless-stopped";
}

std::vector<std::string> shares_with(const model::Service& service) {
  std::vector<std::string> result;
  const auto add = [&](std::string name) {
    if (std::ranges::find(result, name) == result.end()) result.push_back(std::move(name));
  };
  for (const auto* mode : {&service.network_mode, &service.ipc, &service.pid}) {
    if (mode->starts_with(kService)) add(mode->substr(kService.size()));
  }
  for (const auto& source : service.volumes_from) {
    if (!source.starts_with("container:")) add(source.substr(0, source.find(':')));
  }
  return result;
}

std::string network_hash(const model::Network& network) {
  Fields fields;
  // Labels are left out: they change nothing on the wire and a new network would restart every container on it.
  fields.add(network.name)
      .add(network.driver.empty() ? "bridge" : network.driver)
      .add(network.driver_opts)
      .add(network.ipam.driver);
  fields.add(network.ipam.options).add(fmt::format("{}", network.ipam.config.size()));
  for (const auto& pool : network.ipam.config) {
    fields.add(pool.subnet).add(pool.ip_range).add(pool.gateway).add(pool.aux_addresses);
  }
  fields.add_flag(network.internal).add_flag(network.attachable).add_flag(network.enable_ipv4.value_or(true));
  fields.add_flag(network.enable_ipv6.value_or(false));
  return fields.hash();
}

std::string volume_hash(const model::Volume& volume) {
  return Fields{}.add(volume.name).add(volume.driver.empty() ? "local" : volume.driver).add(volume.driver_opts).hash();
}

}  // namespace compose::plan

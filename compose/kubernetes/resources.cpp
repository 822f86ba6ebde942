// What a container may use: deploy.resources and the older keys beside each other; deploy wins, as in Compose.
#include <algorithm>

#include "compose/kubernetes/context.hpp"

namespace compose::kubernetes {
namespace {

struct Amounts {
  std::optional<double> cpus;
  std::string cpus_at;
  std::optional<std::int64_t> memory;
  std::string memory_at;
};

Amounts limits_of(const model::Service& service) {
  Amounts out;
  if (service.deploy && service.deploy->limits) {
    out.cpus = service.deploy->limits->cpus;
    out.cpus_at = ".deploy.resources.limits.cpus";
    out.memory = service.deploy->limits->memory;
    out.memory_at = ".deploy.resources.limits.memory";
  }
  if (!out.cpus) {
    out.cpus_at = ".cpus";
    out.cpus = service.cpus;
    if (!out.cpus && service.cpu_quota && *service.cpu_quota > 0) {
      out.cpus_at = ".cpu_quota";
      out.cpus = static_cast<double>(*service.cpu_quota) / static_cast<double>(service.cpu_period.value_or(100'000));
    }
  }
  if (!out.memory) {
    out.memory = service.mem_limit;
    out.memory_at = ".mem_limit";
  }
  return out;
}

Amounts requests_of(const model::Service& service) {
  Amounts out;
  if (service.deploy && service.deploy->reservations) {
    out.cpus = service.deploy->reservations->cpus;
    out.cpus_at = ".deploy.resources.reservations.cpus";
    out.memory = service.deploy->reservations->memory;
    out.memory_at = ".deploy.resources.reservations.memory";
  }
  if (!out.cpus && service.cpu_shares && *service.cpu_shares > 0) {
    out.cpus_at = ".cpu_shares";
    out.cpus = static_cast<double>(*service.cpu_shares) / 1024;
  }
  if (!out.memory) {
    out.memory = service.mem_reservation;
    out.memory_at = ".mem_reservation";
  }
  return out;
}

Value amounts(Context& context, const std::string& path, const Amounts& wanted) {
  Value out = Value::mapping();
  if (wanted.cpus && *wanted.cpus > 0)
    put(out, "cpu", text(cpu_quantity(*wanted.cpus), context.at(path + wanted.cpus_at)));
  if (wanted.memory && *wanted.memory > 0)
    put(out, "memory", text(bytes_quantity(*wanted.memory), context.at(path + wanted.memory_at)));
  return out;
}

// The older ways to say how many CPUs: only one of them counts.
void note_cpus(Context& context, const std::string& path, const model::Service& service, const Amounts& limits,
               const Amounts& requests) {
  const char* nothing = "without cpu_quota above 0 it means nothing";
  const bool quota = limits.cpus_at == ".cpu_quota";
  const std::string other = limits.cpus_at.substr(1);
  if (service.cpu_quota && !quota)
    context.report.dropped(path + ".cpu_quota", limits.cpus ? other + " counts" : "0 and less mean no limit");
  if (service.cpu_period && !quota)
    context.report.dropped(path + ".cpu_period", limits.cpus ? other + " counts" : nothing);
  if (!service.cpu_shares) return;
  if (*service.cpu_shares <= 0)
    context.report.dropped(path + ".cpu_shares", "0 and less mean the default");
  else if (requests.cpus_at != ".cpu_shares")
    context.report.dropped(path + ".cpu_shares", requests.cpus_at.substr(1) + " counts");
}

// `gpus` means GPUs whatever it says of them; other requests must say so.
void put_gpus(Context& context, const std::string& path, const std::vector<model::DeviceRequest>& requests, bool gpus,
              Value& limits) {
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const model::DeviceRequest& request = requests[i];
    const std::string at = fmt::format("{}[{}]", path, i);
    const bool gpu = gpus || std::find(request.capabilities.begin(), request.capabilities.end(), "gpu") !=
                                 request.capabilities.end();
    if (!gpu && request.driver != "nvidia" && request.driver != "amd") {
      context.report.dropped(at, "needs a device plugin of the cluster: add its resource to the container's limits");
      continue;
    }
    std::int64_t count =
        request.count.value_or(static_cast<std::int64_t>(std::max<std::size_t>(1, request.device_ids.size())));
    if (count < 1) {
      count = 1;
      context.report.approximated(at + ".count", "\"all\" is 1: a pod must say how many it wants");
    }
    put(limits, request.driver == "amd" ? "amd.com/gpu" : "nvidia.com/gpu",
        text(std::to_string(count), context.at(at)));
  }
}

}  // namespace

Value resources_of(Context& context, const std::string& name) {
  const model::Service& service = context.service(name);
  const std::string path = "services." + name;
  const Amounts most = limits_of(service);
  const Amounts least = requests_of(service);
  Value limits = amounts(context, path, most);
  Value requests = amounts(context, path, least);
  note_cpus(context, path, service, most, least);
  put_gpus(context, path + ".gpus", service.gpus, true, limits);
  if (service.deploy && service.deploy->reservations)
    put_gpus(context, path + ".deploy.resources.reservations.devices", service.deploy->reservations->devices, false,
             limits);
  if (const auto size = service.storage_opt.find("size"); size != service.storage_opt.end()) {
    if (const auto bytes = parse_bytes(size->second); bytes.ok() && *bytes > 0) {
      put(limits, "ephemeral-storage", text(bytes_quantity(*bytes), context.at(path + ".storage_opt.size")));
      context.report.approximated(path + ".storage_opt",
                                  "limits.ephemeral-storage: logs count too, and whoever exceeds it is evicted");
    }
  }
  return object({{"limits", std::move(limits)}, {"requests", std::move(requests)}});
}

}  // namespace compose::kubernetes

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
    } else if (!out.cpus && service.cpu_count) {
      out.cpus_at = ".cpu_count";
      out.cpus = static_cast<double>(*service.cpu_count);
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

void put_gpus(Context& context, const std::string& path, const std::vector<model::DeviceRequest>& requests,
              Value& limits) {
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const model::DeviceRequest& request = requests[i];
    const std::string at = fmt::format("{}[{}]", path, i);
    const bool gpu =
        std::find(request.capabilities.begin(), request.capabilities.end(), "gpu") != request.capabilities.end();
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
  Value limits = amounts(context, path, limits_of(service));
  Value requests = amounts(context, path, requests_of(service));
  put_gpus(context, path + ".gpus", service.gpus, limits);
  if (service.deploy && service.deploy->reservations)
    put_gpus(context, path + ".deploy.resources.reservations.devices", service.deploy->reservations->devices, limits);
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

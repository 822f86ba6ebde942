#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/strings.hpp"
#include "container/spec_parts.hpp"

namespace compose::container {
namespace {

namespace spec = runtime::spec;

constexpr std::int64_t kCpuPeriod = 100'000;  // microseconds, Docker's for `cpus`

struct Limits {
  std::optional<std::int64_t> memory, reservation, pids;
  std::optional<double> cpus;
};

// deploy.resources wins over the attributes of the service, as in Docker Compose.
Limits limits_of(const model::Service& service) {
  Limits limits{service.mem_limit, service.mem_reservation, service.pids_limit, service.cpus};
  if (!service.deploy) return limits;
  if (const auto& given = service.deploy->limits) {
    if (given->memory) limits.memory = given->memory;
    if (given->pids) limits.pids = given->pids;
    if (given->cpus) limits.cpus = given->cpus;
  }
  if (const auto& given = service.deploy->reservations; given && given->memory) limits.reservation = given->memory;
  return limits;
}

Result<std::optional<spec::Memory>> memory(const model::Service& service, const Limits& limits) {
  spec::Memory result;
  bool any = false;
  if (limits.memory.value_or(0) > 0) {
    // Docker's rule: as much swap again as memory, unless said otherwise. `swap` counts both.
    result.limit = *limits.memory;
    result.swap = service.memswap_limit.value_or(0) != 0 ? *service.memswap_limit : *limits.memory * 2;
    if (*result.swap > 0 && *result.swap < *result.limit) {
      return make_error(Errc::invalid, "memswap_limit: {} is less than the memory limit {}", *result.swap,
                        *result.limit);
    }
    any = true;
  } else if (service.memswap_limit.value_or(0) > 0) {
    return make_error(Errc::invalid, "memswap_limit: needs a memory limit (mem_limit)");
  }
  if (limits.reservation.value_or(0) > 0) {
    result.reservation = *limits.reservation;
    any = true;
  }
  if (service.mem_swappiness.value_or(-1) >= 0) {
    result.swappiness = static_cast<std::uint64_t>(*service.mem_swappiness);
    any = true;
  }
  if (service.oom_kill_disable) {
    result.disable_oom_killer = true;
    any = true;
  }
  return any ? std::optional{result} : std::nullopt;
}

std::optional<std::uint64_t> positive(const std::optional<std::int64_t>& value) {
  return value.value_or(0) > 0 ? std::optional{static_cast<std::uint64_t>(*value)} : std::nullopt;
}

std::optional<spec::Cpu> cpu(const model::Service& service, const Limits& limits) {
  spec::Cpu result;
  result.shares = positive(service.cpu_shares);
  result.period = positive(service.cpu_period);
  if (service.cpu_quota.value_or(0) != 0) result.quota = *service.cpu_quota;
  if (limits.cpus.value_or(0) > 0) {
    result.period = static_cast<std::uint64_t>(kCpuPeriod);
    result.quota = std::llround(*limits.cpus * static_cast<double>(kCpuPeriod));
  }
  result.realtime_period = positive(service.cpu_rt_period);
  if (service.cpu_rt_runtime.value_or(0) != 0) result.realtime_runtime = *service.cpu_rt_runtime;
  result.cpus = service.cpuset;
  const bool any = result.shares || result.period || result.quota || result.realtime_period ||
                   result.realtime_runtime || !result.cpus.empty();
  return any ? std::optional{result} : std::nullopt;
}

Result<const HostDevice*> block_device(const SpecInput& input, const std::string& path) {
  const auto found = input.host_devices.find(path);
  if (found == input.host_devices.end() || found->second.size() != 1) {
    return make_error(Errc::invalid, "blkio_config: \"{}\" is not a device of this host", path);
  }
  return &found->second.front();
}

Result<void> throttle(const SpecInput& input, const std::vector<model::BlkioDeviceRate>& rates,
                      std::vector<spec::ThrottleDevice>& into) {
  for (const auto& rate : rates) {
    TRY_ASSIGN(const HostDevice* device, block_device(input, rate.path));
    into.push_back({device->major, device->minor, static_cast<std::uint64_t>(std::max<std::int64_t>(rate.rate, 0))});
  }
  return {};
}

Result<std::optional<spec::BlockIo>> block_io(const SpecInput& input) {
  if (!input.service.blkio_config) return std::optional<spec::BlockIo>{};
  const model::BlkioConfig& given = *input.service.blkio_config;
  spec::BlockIo result;
  if (given.weight.value_or(0) > 0) result.weight = given.weight;
  for (const auto& weight : given.weight_device) {
    TRY_ASSIGN(const HostDevice* device, block_device(input, weight.path));
    result.weight_device.push_back({device->major, device->minor, weight.weight, std::nullopt});
  }
  TRY(throttle(input, given.device_read_bps, result.read_bps));
  TRY(throttle(input, given.device_write_bps, result.write_bps));
  TRY(throttle(input, given.device_read_iops, result.read_iops));
  TRY(throttle(input, given.device_write_iops, result.write_iops));
  return std::optional{result};
}

spec::DeviceRule rule(bool allow, const char* type, std::optional<std::int64_t> major,
                      std::optional<std::int64_t> minor, std::string access) {
  return {allow, type, major, minor, std::move(access)};
}

// moby, daemon/pkg/oci/defaults.go: what a container may use besides the nodes the runtime makes.
std::vector<spec::DeviceRule> default_rules() {
  return {rule(false, "a", std::nullopt, std::nullopt, "rwm"),
          rule(true, "c", 1, 5, "rwm"),
          rule(true, "c", 1, 3, "rwm"),
          rule(true, "c", 1, 9, "rwm"),
          rule(true, "c", 1, 8, "rwm"),
          rule(true, "c", 5, 0, "rwm"),
          rule(true, "c", 5, 1, "rwm"),
          rule(false, "c", 10, 229, "rwm")};
}

std::optional<std::int64_t> device_number(const std::string& text, bool& valid) {
  if (text == "*") return std::nullopt;
  const auto number = parse_unsigned(text);
  if (!number || *number > std::numeric_limits<std::uint32_t>::max()) {
    valid = false;
    return std::nullopt;
  }
  return static_cast<std::int64_t>(*number);
}

// "c 1:3 mr", "b *:* rwm", "a *:* rwm" (Documentation/admin-guide/cgroup-v1/devices.rst)
Result<spec::DeviceRule> parse_rule(const std::string& text) {
  const auto words = split(text, ' ');
  bool valid = words.size() == 3 && (words[0] == "a" || words[0] == "b" || words[0] == "c");
  const auto numbers = valid ? split(words[1], ':') : std::vector<std::string>{};
  valid = valid && numbers.size() == 2 && !words[2].empty() && words[2].find_first_not_of("rwm") == std::string::npos;
  if (valid) {
    const auto major = device_number(numbers[0], valid);
    const auto minor = device_number(numbers[1], valid);
    if (valid) return rule(true, words[0].c_str(), major, minor, words[2]);
  }
  return make_error(Errc::invalid, "device_cgroup_rules: \"{}\" is not of the form \"c 1:3 rwm\"", text);
}

spec::Device node(const HostDevice& device, std::string path) {
  spec::Device result;
  result.type = std::string(1, device.type);
  result.path = std::move(path);
  result.major = device.major;
  result.minor = device.minor;
  result.file_mode = device.mode;
  result.uid = device.uid;
  result.gid = device.gid;
  return result;
}

// A directory of devices keeps its inner names below the target.
std::string target_of(const model::Device& device, const HostDevice& found) {
  const std::string& target = device.target.empty() ? device.source : device.target;
  return found.path == device.source ? target : target + found.path.substr(device.source.size());
}

Result<const std::vector<HostDevice>*> nodes_of(const SpecInput& input, const model::Device& device) {
  const auto found = input.host_devices.find(device.source);
  if (found == input.host_devices.end() || found->second.empty()) {
    return make_error(Errc::invalid, "devices: \"{}\" is not a device of this host", device.source);
  }
  return &found->second;
}

}  // namespace

Result<spec::Resources> spec_resources(const SpecInput& input, const HostInfo&) {
  const model::Service& service = input.service;
  const Limits limits = limits_of(service);
  spec::Resources result;
  TRY_ASSIGN(result.memory, memory(service, limits));
  result.cpu = cpu(service, limits);
  if (limits.pids.value_or(0) > 0) result.pids_limit = *limits.pids;
  TRY_ASSIGN(result.block_io, block_io(input));
  if (service.privileged) {
    result.devices.push_back(rule(true, "a", std::nullopt, std::nullopt, "rwm"));
    return result;
  }
  result.devices = default_rules();
  for (const auto& device : service.devices) {
    TRY_ASSIGN(const auto* nodes, nodes_of(input, device));
    for (const auto& found : *nodes) {
      result.devices.push_back(rule(true, found.type == 'b' ? "b" : "c", found.major, found.minor,
                                    device.permissions.empty() ? "rwm" : device.permissions));
    }
  }
  for (const auto& text : service.device_cgroup_rules) {
    TRY_ASSIGN(auto parsed, parse_rule(text));
    result.devices.push_back(std::move(parsed));
  }
  return result;
}

Result<std::vector<spec::Device>> spec_devices(const SpecInput& input, const HostInfo& host) {
  std::vector<spec::Device> result;
  if (input.service.privileged) {
    for (const auto& device : host.devices) result.push_back(node(device, device.path));
  }
  for (const auto& device : input.service.devices) {
    TRY_ASSIGN(const auto* nodes, nodes_of(input, device));
    for (const auto& found : *nodes) {
      const std::string path = target_of(device, found);
      std::erase_if(result, [&](const spec::Device& other) { return other.path == path; });
      result.push_back(node(found, path));
    }
  }
  return result;
}

Result<std::vector<spec::Rlimit>> spec_rlimits(const model::Service& service) {
  static constexpr std::array kNames = {"as",   "core",   "cpu",   "data", "fsize",  "locks",  "memlock",    "msgqueue",
                                        "nice", "nofile", "nproc", "rss",  "rtprio", "rttime", "sigpending", "stack"};
  const auto value = [](std::int64_t number) {
    return number < 0 ? std::numeric_limits<std::uint64_t>::max() : static_cast<std::uint64_t>(number);
  };
  std::vector<spec::Rlimit> result;
  for (const auto& [name, limit] : service.ulimits) {
    if (std::ranges::find(kNames, name) == kNames.end()) {
      const std::vector<std::string> known{kNames.begin(), kNames.end()};
      const auto near = nearest(name, known);
      return make_error(Errc::invalid, "ulimits: unknown limit \"{}\"{}", name,
                        near ? fmt::format(", did you mean \"{}\"?", *near) : "");
    }
    spec::Rlimit rlimit{"RLIMIT_", value(limit.soft), value(limit.hard)};
    for (const char c : name) rlimit.type += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    if (rlimit.soft > rlimit.hard) {
      return make_error(Errc::invalid, "ulimits.{}: the soft limit {} is above the hard limit {}", name, limit.soft,
                        limit.hard);
    }
    result.push_back(std::move(rlimit));
  }
  return result;
}

}  // namespace compose::container

// The specification's resources (config-linux.md, "Control groups") as writes to this host's control files.
#include <algorithm>
#include <utility>

#include "base/strings.hpp"
#include "runtime/cgroup/cgroup.hpp"
#include "runtime/cgroup/devices.hpp"

namespace compose::runtime::cgroup {
namespace {

/// Collects settings; remembers the first controller that is asked for but missing.
class Compiler {
 public:
  Compiler(const Layout& layout, Plan& plan) : layout_{layout}, plan_{plan} {}

  bool is_v2(const std::string& controller) const {
    const Hierarchy* hierarchy = layout_.find(controller);
    return hierarchy != nullptr && hierarchy->version == Version::v2;
  }
  bool has(const std::string& controller) const { return layout_.find(controller) != nullptr; }

  void set(const std::string& controller, std::string file, std::string value, std::string where,
           bool optional = false) {
    if (!has(controller)) {
      if (!problem_ && !optional) {
        problem_ = make_error(Errc::unsupported, "linux.resources.{}: this host has no control group controller \"{}\"",
                              where, controller);
      }
      return;
    }
    plan_.settings.push_back({controller, std::move(file), std::move(value), std::move(where), optional});
  }
  template <typename T>
  void set_if(const std::optional<T>& value, const std::string& controller, std::string file, std::string where,
              bool optional = false) {
    if (value) set(controller, std::move(file), std::to_string(*value), std::move(where), optional);
  }

  void memory(const spec::Memory& memory);
  void cpu(const spec::Cpu& cpu);
  void block_io(const spec::BlockIo& io);
  void rest(const spec::Resources& resources);
  Result<void> devices(const spec::Resources& resources);

  std::optional<Error>& problem() { return problem_; }

 private:
  void cpu_v2(const spec::Cpu& cpu);
  void throttle(const std::vector<spec::ThrottleDevice>& list, const char* v1_file, const char* v2_key,
                const char* where);
  const Layout& layout_;
  Plan& plan_;
  std::optional<Error> problem_;
};

std::string or_max(std::int64_t value) { return value < 0 ? "max" : std::to_string(value); }

void Compiler::memory(const spec::Memory& memory) {
  if (!is_v2("memory")) {
    if (memory.limit == -1 && !memory.swap) {
      // Without a limit of the memory there can be none of memory and swap together.
      set("memory", "memory.memsw.limit_in_bytes", "-1", "memory.limit", true);
    }
    set_if(memory.limit, "memory", "memory.limit_in_bytes", "memory.limit");
    set_if(memory.swap, "memory", "memory.memsw.limit_in_bytes", "memory.swap");
    set_if(memory.reservation, "memory", "memory.soft_limit_in_bytes", "memory.reservation");
    // Kernels from 5.16 on have dropped the kernel memory limit.
    set_if(memory.kernel, "memory", "memory.kmem.limit_in_bytes", "memory.kernel", true);
    set_if(memory.kernel_tcp, "memory", "memory.kmem.tcp.limit_in_bytes", "memory.kernelTCP");
    set_if(memory.swappiness, "memory", "memory.swappiness", "memory.swappiness");
    if (memory.disable_oom_killer.value_or(false)) {
      set("memory", "memory.oom_control", "1", "memory.disableOOMKiller");
    }
    return;
  }
  if (memory.reservation) set("memory", "memory.low", or_max(*memory.reservation), "memory.reservation");
  if (memory.limit) set("memory", "memory.max", or_max(*memory.limit), "memory.limit");
  if (memory.swap) {
    // The specification counts memory and swap together, the kernel's v2 file swap alone.
    const std::int64_t limit = memory.limit.value_or(-1);
    if (*memory.swap >= 0 && limit < 0) {
      problem_ = make_error(Errc::invalid, "linux.resources.memory.swap: a swap limit needs a memory limit");
    } else if (*memory.swap >= 0 && *memory.swap < limit) {
      problem_ = make_error(Errc::invalid,
                            "linux.resources.memory.swap: memory and swap together ({}) are less than memory ({})",
                            *memory.swap, limit);
    } else {
      // A kernel without swap has no such file: then there is none to use either.
      set("memory", "memory.swap.max", *memory.swap < 0 ? "max" : std::to_string(*memory.swap - limit), "memory.swap",
          true);
    }
  }
}

void Compiler::cpu(const spec::Cpu& cpu) {
  if (is_v2("cpu")) {
    cpu_v2(cpu);
  } else {
    // 0 means unset to every client.
    if (cpu.shares.value_or(0) != 0) set_if(cpu.shares, "cpu", "cpu.shares", "cpu.shares");
    if (cpu.period.value_or(0) != 0) set_if(cpu.period, "cpu", "cpu.cfs_period_us", "cpu.period");
    if (cpu.quota.value_or(0) != 0) set_if(cpu.quota, "cpu", "cpu.cfs_quota_us", "cpu.quota");
    set_if(cpu.burst, "cpu", "cpu.cfs_burst_us", "cpu.burst");
    if (cpu.realtime_period.value_or(0) != 0) {
      set_if(cpu.realtime_period, "cpu", "cpu.rt_period_us", "cpu.realtimePeriod");
    }
    if (cpu.realtime_runtime.value_or(0) != 0) {
      set_if(cpu.realtime_runtime, "cpu", "cpu.rt_runtime_us", "cpu.realtimeRuntime");
    }
    set_if(cpu.idle, "cpu", "cpu.idle", "cpu.idle");
  }
  if (!cpu.cpus.empty()) set("cpuset", "cpuset.cpus", cpu.cpus, "cpu.cpus");
  if (!cpu.mems.empty()) set("cpuset", "cpuset.mems", cpu.mems, "cpu.mems");
}

void Compiler::cpu_v2(const spec::Cpu& cpu) {
  if (cpu.shares.value_or(0) != 0) {
    // 2…262144 onto 1…10000, the mapping of all runtimes (crun.1 "cpu controller").
    const std::uint64_t shares = std::clamp<std::uint64_t>(*cpu.shares, 2, 262144);
    set("cpu", "cpu.weight", std::to_string(1 + (shares - 2) * 9999 / 262142), "cpu.shares");
  }
  if (cpu.quota.value_or(0) != 0 || cpu.period.value_or(0) != 0) {
    const std::string quota = cpu.quota.value_or(0) > 0 ? std::to_string(*cpu.quota) : "max";
    const std::uint64_t period = cpu.period.value_or(0) != 0 ? *cpu.period : 100000;
    set("cpu", "cpu.max", fmt::format("{} {}", quota, period), "cpu.quota");
  }
  set_if(cpu.burst, "cpu", "cpu.max.burst", "cpu.burst");
  set_if(cpu.idle, "cpu", "cpu.idle", "cpu.idle");
  if (cpu.realtime_runtime.value_or(0) != 0) {
    problem_ = make_error(Errc::unsupported,
                          "linux.resources.cpu.realtimeRuntime: version 2 control groups have no such limit");
  }
}

void Compiler::throttle(const std::vector<spec::ThrottleDevice>& list, const char* v1_file, const char* v2_key,
                        const char* where) {
  for (const auto& device : list) {
    if (is_v2("io")) {
      const std::string rate = device.rate == 0 ? "max" : std::to_string(device.rate);
      set("io", "io.max", fmt::format("{}:{} {}={}", device.major, device.minor, v2_key, rate), where);
    } else {
      set("blkio", v1_file, fmt::format("{}:{} {}", device.major, device.minor, device.rate), where);
    }
  }
}

void Compiler::block_io(const spec::BlockIo& io) {
  const bool v2 = is_v2("io");
  if (io.weight.value_or(0) != 0) {
    if (v2) {
      // 10…1000 onto 1…10000. The file exists where a policy (BFQ or iocost) implements weights.
      set("io", "io.weight", std::to_string(1 + (std::max<std::uint32_t>(*io.weight, 10) - 10) * 9999U / 990U),
          "blockIO.weight", true);
    } else {
      set("blkio", "blkio.weight|blkio.bfq.weight", std::to_string(*io.weight), "blockIO.weight", true);
    }
  }
  if (!v2) set_if(io.leaf_weight, "blkio", "blkio.leaf_weight", "blockIO.leafWeight", true);
  for (const auto& device : io.weight_device) {
    if (!device.weight) continue;
    const std::string value = fmt::format("{}:{} {}", device.major, device.minor, *device.weight);
    if (v2) {
      set("io", "io.bfq.weight", value, "blockIO.weightDevice", true);
    } else {
      set("blkio", "blkio.weight_device|blkio.bfq.weight_device", value, "blockIO.weightDevice", true);
    }
  }
  throttle(io.read_bps, "blkio.throttle.read_bps_device", "rbps", "blockIO.throttleReadBpsDevice");
  throttle(io.write_bps, "blkio.throttle.write_bps_device", "wbps", "blockIO.throttleWriteBpsDevice");
  throttle(io.read_iops, "blkio.throttle.read_iops_device", "riops", "blockIO.throttleReadIOPSDevice");
  throttle(io.write_iops, "blkio.throttle.write_iops_device", "wiops", "blockIO.throttleWriteIOPSDevice");
}

void Compiler::rest(const spec::Resources& resources) {
  if (resources.pids_limit) {
    set("pids", "pids.max", *resources.pids_limit <= 0 ? "max" : std::to_string(*resources.pids_limit), "pids.limit");
  }
  for (const auto& page : resources.hugepage_limits) {
    set("hugetlb", fmt::format("hugetlb.{}.{}", page.page_size, is_v2("hugetlb") ? "max" : "limit_in_bytes"),
        std::to_string(page.limit), "hugepageLimits");
  }
  set_if(resources.network_class_id, "net_cls", "net_cls.classid", "network.classID");
  for (const auto& priority : resources.network_priorities) {
    set("net_prio", "net_prio.ifpriomap", fmt::format("{} {}", priority.name, priority.priority), "network.priorities");
  }
  for (const auto& [device, limit] : resources.rdma) {
    std::string value = device;
    if (limit.hca_handles) value += fmt::format(" hca_handle={}", *limit.hca_handles);
    if (limit.hca_objects) value += fmt::format(" hca_object={}", *limit.hca_objects);
    set("rdma", "rdma.max", value, "rdma");
  }
  for (const auto& [file, value] : resources.unified) {
    const auto dot = file.find('.');
    const std::string controller = dot == std::string::npos ? file : file.substr(0, dot);
    if (file.find('/') != std::string::npos || dot == std::string::npos) {
      problem_ = make_error(Errc::invalid, "linux.resources.unified: \"{}\" is not the name of a control file", file);
    } else if (layout_.unified() == nullptr || (controller != "cgroup" && !is_v2(controller))) {
      problem_ =
          make_error(Errc::unsupported,
                     "linux.resources.unified: invalid configuration: \"{}\" needs the controller \"{}\" in version 2",
                     file, controller);
    } else {
      plan_.settings.push_back({controller == "cgroup" ? "" : controller, file, value, "unified", false});
    }
  }
}

Result<void> Compiler::devices(const spec::Resources& resources) {
  TRY_ASSIGN(DeviceAccess access, DeviceAccess::from_rules(resources.devices));
  access.add_defaults();
  if (has("devices")) {
    for (auto& [file, value] : access.v1_writes()) set("devices", file, value, "devices");
  } else if (layout_.unified() != nullptr) {
    plan_.device_program = access.v2_program();
  }
  return {};
}

bool safe_path(const std::string& path) {
  if (!path.starts_with('/') || path.size() < 2) return false;
  const auto parts = split(std::string_view{path}.substr(1), '/');
  return std::ranges::none_of(parts, [](const auto& part) { return part.empty() || part == "." || part == ".."; });
}

}  // namespace

Result<Plan> compile(const spec::Resources& resources, const std::string& path, const Layout& layout) {
  Plan plan;
  plan.path = path;
  if (!safe_path(path))
    return make_error(Errc::invalid, "linux.cgroupsPath: \"{}\" is not a plain absolute path", path);
  Compiler compiler{layout, plan};
  if (resources.memory) compiler.memory(*resources.memory);
  if (resources.cpu) compiler.cpu(*resources.cpu);
  if (resources.block_io) compiler.block_io(*resources.block_io);
  compiler.rest(resources);
  TRY(compiler.devices(resources));
  if (compiler.problem()) return *compiler.problem();
  return plan;
}

}  // namespace compose::runtime::cgroup

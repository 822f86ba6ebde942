// What decides on CPU time, memory nodes and network devices: names of the specification to numbers of the kernel.
#include <sched.h>

#include <algorithm>
#include <array>

#include "base/strings.hpp"
#include "runtime/launch/compile_parts.hpp"

namespace compose::runtime::launch {
namespace {

template <std::size_t N, typename T>
using Names = std::array<std::pair<std::string_view, T>, N>;

template <std::size_t N, typename T>
std::optional<T> number_of(const Names<N, T>& names, std::string_view name) {
  for (const auto& [known, number] : names) {
    if (known == name) return number;
  }
  return std::nullopt;
}

// linux/sched.h, linux/mempolicy.h: by number, since the headers of older systems lack the newer names.
constexpr Names<7, std::uint32_t> kPolicies = {{{"SCHED_OTHER", 0},
                                                {"SCHED_FIFO", 1},
                                                {"SCHED_RR", 2},
                                                {"SCHED_BATCH", 3},
                                                {"SCHED_ISO", 4},
                                                {"SCHED_IDLE", 5},
                                                {"SCHED_DEADLINE", 6}}};
constexpr Names<7, std::uint64_t> kSchedulerFlags = {{{"SCHED_FLAG_RESET_ON_FORK", 0x01},
                                                      {"SCHED_FLAG_RECLAIM", 0x02},
                                                      {"SCHED_FLAG_DL_OVERRUN", 0x04},
                                                      {"SCHED_FLAG_KEEP_POLICY", 0x08},
                                                      {"SCHED_FLAG_KEEP_PARAMS", 0x10},
                                                      {"SCHED_FLAG_UTIL_CLAMP_MIN", 0x20},
                                                      {"SCHED_FLAG_UTIL_CLAMP_MAX", 0x40}}};
constexpr Names<3, std::uint32_t> kIoClasses = {
    {{"IOPRIO_CLASS_RT", 1}, {"IOPRIO_CLASS_BE", 2}, {"IOPRIO_CLASS_IDLE", 3}}};
constexpr Names<7, std::uint32_t> kMemoryModes = {{{"MPOL_DEFAULT", 0},
                                                   {"MPOL_PREFERRED", 1},
                                                   {"MPOL_BIND", 2},
                                                   {"MPOL_INTERLEAVE", 3},
                                                   {"MPOL_LOCAL", 4},
                                                   {"MPOL_PREFERRED_MANY", 5},
                                                   {"MPOL_WEIGHTED_INTERLEAVE", 6}}};
constexpr Names<3, std::uint32_t> kMemoryFlags = {
    {{"MPOL_F_STATIC_NODES", 1U << 15}, {"MPOL_F_RELATIVE_NODES", 1U << 14}, {"MPOL_F_NUMA_BALANCING", 1U << 13}}};

constexpr std::size_t kMostCpus = 8192, kMostNodes = 1024;  // NR_CPUS, MAX_NUMNODES of the largest kernels

std::size_t bits_in(const std::vector<std::uint64_t>& words) {
  std::size_t count = 0;
  for (const std::uint64_t word : words) count += static_cast<std::size_t>(__builtin_popcountll(word));
  return count;
}

Result<void> compile_cpus(const std::string& list, const char* member, std::vector<std::uint64_t>& out) {
  if (list.empty()) return {};
  auto bits = parse_bit_list(list, kMostCpus);
  if (!bits) return make_error(Errc::invalid, "process.execCPUAffinity.{}: \"{}\" is no list of CPUs", member, list);
  out = std::move(*bits);
  return {};
}

}  // namespace

std::optional<std::vector<std::uint64_t>> parse_bit_list(std::string_view list, std::size_t limit) {
  std::vector<std::uint64_t> words;
  for (const auto& part : split(list, ',')) {
    const std::string range{trim(part)};
    const auto dash = range.find('-');
    const auto first = parse_unsigned(range.substr(0, dash));
    const auto last = dash == std::string::npos ? first : parse_unsigned(range.substr(dash + 1));
    if (!first || !last || *first > *last || *last >= limit) return std::nullopt;
    if (words.size() <= *last / 64) words.resize(*last / 64 + 1);
    for (std::uint64_t bit = *first; bit <= *last; ++bit) words[bit / 64] |= std::uint64_t{1} << (bit % 64);
  }
  return words;
}

Result<void> compile_scheduling(const spec::Process& process, ProcessPlan& plan) {
  if (process.scheduler) {
    const auto& wanted = *process.scheduler;
    const auto policy = number_of(kPolicies, wanted.policy);
    if (!policy) return make_error(Errc::invalid, "process.scheduler: unknown policy \"{}\"", wanted.policy);
    auto& scheduler = plan.scheduler.emplace();
    scheduler.policy = *policy;
    for (const auto& name : wanted.flags) {
      const auto flag = number_of(kSchedulerFlags, name);
      if (!flag) return make_error(Errc::invalid, "process.scheduler: unknown flag \"{}\"", name);
      scheduler.flags |= *flag;
    }
    scheduler.priority = static_cast<std::uint32_t>(wanted.priority);
    scheduler.nice = wanted.nice;
    scheduler.runtime = wanted.runtime;
    scheduler.deadline = wanted.deadline;
    scheduler.period = wanted.period;
  }
  if (process.io_priority) {
    const auto io_class = number_of(kIoClasses, process.io_priority->io_class);
    if (!io_class) {
      return make_error(Errc::invalid, "process.ioPriority: unknown class \"{}\"", process.io_priority->io_class);
    }
    if (process.io_priority->priority < 0 || process.io_priority->priority > 7) {
      return make_error(Errc::invalid, "process.ioPriority: the priority {} is not within 0 and 7",
                        process.io_priority->priority);
    }
    plan.io_priority = *io_class << 13 | static_cast<std::uint32_t>(process.io_priority->priority);
  }
  TRY(compile_cpus(process.exec_cpu_affinity_initial, "initial", plan.exec_cpus_initial));
  return compile_cpus(process.exec_cpu_affinity_final, "final", plan.exec_cpus_final);
}

Result<void> compile_memory_policy(const spec::Linux& config, ProcessPlan& plan) {
  if (!config.memory_policy) return {};
  const auto& wanted = *config.memory_policy;
  const auto mode = number_of(kMemoryModes, wanted.mode);
  if (!mode) {
    return make_error(Errc::invalid, "linux.memoryPolicy: invalid memory policy mode \"{}\"", wanted.mode);
  }
  MemoryPolicyPlan policy{*mode, {}};
  for (const auto& name : wanted.flags) {
    const auto flag = number_of(kMemoryFlags, name);
    if (!flag) return make_error(Errc::invalid, "linux.memoryPolicy: invalid memory policy flag \"{}\"", name);
    policy.mode |= *flag;
  }
  if (!wanted.nodes.empty()) {
    auto nodes = parse_bit_list(wanted.nodes, kMostNodes);
    if (!nodes) {
      return make_error(Errc::invalid, "linux.memoryPolicy: invalid memory policy node in \"{}\"", wanted.nodes);
    }
    policy.nodes = std::move(*nodes);
  }
  const bool without_nodes = wanted.mode == "MPOL_DEFAULT" || wanted.mode == "MPOL_LOCAL";
  if (without_nodes && !policy.nodes.empty()) {
    return make_error(Errc::invalid, "linux.memoryPolicy: the {} mode requires 0 nodes but got {}", wanted.mode,
                      bits_in(policy.nodes));
  }
  plan.memory_policy = std::move(policy);
  return {};
}

Result<void> compile_net_devices(const spec::Linux& config, LaunchPlan& plan) {
  if (config.net_devices.empty()) return {};
  std::uint64_t owned = plan.create_namespaces;
  bool foreign_owner = false;
  for (const auto& joined : plan.join_namespaces) {
    owned |= joined.flag;
    foreign_owner = foreign_owner || joined.flag == CLONE_NEWUSER;
  }
  if ((owned & CLONE_NEWNET) == 0) {
    return make_error(Errc::invalid, "linux.netDevices: a device can only move into another network namespace");
  }
  if (foreign_owner && (plan.create_namespaces & CLONE_NEWNET) != 0) {
    return make_error(Errc::unsupported,
                      "linux.netDevices: not together with a new network namespace in a joined user namespace");
  }
  constexpr std::size_t kLongest = 15;  // IFNAMSIZ - 1
  for (const auto& [name, device] : config.net_devices) {
    for (const auto& text : {name, device.name}) {
      const bool bad = text.size() > kLongest || text == "." || text == ".." ||
                       text.find_first_of("/: \t\n\v\f\r") != std::string::npos;
      if (bad || name.empty()) return make_error(Errc::invalid, "linux.netDevices: \"{}\" is no device name", text);
    }
    plan.net_devices.emplace_back(name, device.name.empty() ? name : device.name);
  }
  return {};
}

}  // namespace compose::runtime::launch

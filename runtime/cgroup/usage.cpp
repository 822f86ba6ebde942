// Usage figures: v1 files are documented in cgroup-v1/{memory,cpuacct,blkio-controller}.rst, v2 in cgroup-v2.rst.
#include "base/strings.hpp"
#include "runtime/cgroup/cgroup.hpp"
#include "sys/file.hpp"

namespace compose::runtime::cgroup {
namespace {

std::uint64_t number(const std::string& file) {
  const auto text = sys::read_file(file, 4096);
  return text ? parse_unsigned(trim(*text)).value_or(0) : 0;
}

/// "key value" lines.
std::map<std::string, std::uint64_t> table(const std::string& file) {
  std::map<std::string, std::uint64_t> result;
  const auto text = sys::read_file(file, 1 << 20);
  if (!text) return result;
  for (const auto& line : split(*text, '\n')) {
    const auto blank = line.find(' ');
    if (blank == std::string::npos) continue;
    if (const auto value = parse_unsigned(std::string_view{line}.substr(blank + 1)))
      result[line.substr(0, blank)] = *value;
  }
  return result;
}

/// No limit shows as "max" or, with v1, as a number near the address space's end.
std::uint64_t limit(const std::string& file) {
  const std::uint64_t value = number(file);
  return value >= (std::uint64_t{1} << 62) ? 0 : value;
}

void memory_v1(const std::string& directory, Usage& usage) {
  usage.memory_bytes = number(directory + "/memory.usage_in_bytes");
  usage.memory_peak_bytes = number(directory + "/memory.max_usage_in_bytes");
  usage.memory_limit_bytes = limit(directory + "/memory.limit_in_bytes");
  usage.memory_failures = number(directory + "/memory.failcnt");
  usage.memory_stat = table(directory + "/memory.stat");
  usage.memory_cache_bytes = usage.memory_stat["total_inactive_file"];
  usage.swap_bytes = usage.memory_stat["total_swap"];
}

void memory_v2(const std::string& directory, Usage& usage) {
  usage.memory_bytes = number(directory + "/memory.current");
  usage.memory_peak_bytes = number(directory + "/memory.peak");
  usage.memory_limit_bytes = limit(directory + "/memory.max");
  usage.memory_failures = table(directory + "/memory.events")["max"];
  usage.memory_stat = table(directory + "/memory.stat");
  usage.memory_cache_bytes = usage.memory_stat["inactive_file"];
  usage.swap_bytes = number(directory + "/memory.swap.current");
}

void block_v1(const std::string& directory, Usage& usage) {
  const auto text = sys::read_file(directory + "/blkio.throttle.io_service_bytes_recursive", 1 << 20);
  if (!text) return;
  for (const auto& line : split(*text, '\n')) {
    const auto words = split(line, ' ');
    if (words.size() != 3) continue;
    const std::uint64_t value = parse_unsigned(words[2]).value_or(0);
    if (words[1] == "Read") usage.block_read_bytes += value;
    if (words[1] == "Write") usage.block_write_bytes += value;
  }
}

void block_v2(const std::string& directory, Usage& usage) {
  const auto text = sys::read_file(directory + "/io.stat", 1 << 20);
  if (!text) return;
  for (const auto& line : split(*text, '\n')) {
    for (const auto& word : split(line, ' ')) {
      if (word.starts_with("rbytes=")) usage.block_read_bytes += parse_unsigned(word.substr(7)).value_or(0);
      if (word.starts_with("wbytes=")) usage.block_write_bytes += parse_unsigned(word.substr(7)).value_or(0);
    }
  }
}

}  // namespace

Result<Usage> Group::usage() const {
  Usage usage;
  if (const Place* memory = place("memory")) {
    (memory->version == Version::v1 ? memory_v1 : memory_v2)(memory->directory, usage);
    usage.oom_kills = oom_kills();
  }
  if (const Place* cpu = place("cpuacct")) {
    usage.cpu_nanoseconds = number(cpu->directory + "/cpuacct.usage");
    usage.cpu_user_nanoseconds = number(cpu->directory + "/cpuacct.usage_user");
    usage.cpu_system_nanoseconds = number(cpu->directory + "/cpuacct.usage_sys");
  }
  if (const Place* cpu = place("cpu")) {
    auto stat = table(cpu->directory + "/cpu.stat");
    usage.cpu_periods = stat["nr_periods"];
    usage.cpu_throttled_periods = stat["nr_throttled"];
    if (cpu->version == Version::v2) {
      usage.cpu_nanoseconds = stat["usage_usec"] * 1000;
      usage.cpu_user_nanoseconds = stat["user_usec"] * 1000;
      usage.cpu_system_nanoseconds = stat["system_usec"] * 1000;
      usage.cpu_throttled_nanoseconds = stat["throttled_usec"] * 1000;
    } else {
      usage.cpu_throttled_nanoseconds = stat["throttled_time"];
    }
  }
  if (const Place* pids = place("pids")) {
    usage.pids = number(pids->directory + "/pids.current");
    usage.pids_limit = number(pids->directory + "/pids.max");
  }
  if (const Place* io = place("blkio")) block_v1(io->directory, usage);
  if (const Place* io = place("io")) block_v2(io->directory, usage);
  return usage;
}

std::uint64_t Group::oom_kills() const {
  const Place* memory = place("memory");
  if (memory == nullptr) return 0;
  return table(memory->directory +
               (memory->version == Version::v1 ? "/memory.oom_control" : "/memory.events"))["oom_kill"];
}

}  // namespace compose::runtime::cgroup

// update and events.
#include <poll.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/strings.hpp"
#include "base/units.hpp"
#include "runtime/cgroup/cgroup.hpp"
#include "runtime/cli/commands.hpp"
#include "runtime/container/container.hpp"
#include "sys/file.hpp"

namespace compose::runtime::cli {
namespace {

using container::Container;

constexpr OptionSpec kOptions[] = {
    {"resources", 'r', true},       {"blkio-weight", 0, true},   {"cpu-period", 0, true},
    {"cpu-quota", 0, true},         {"cpu-burst", 0, true},      {"cpu-share", 0, true},
    {"cpu-rt-period", 0, true},     {"cpu-rt-runtime", 0, true}, {"cpu-idle", 0, true},
    {"cpuset-cpus", 0, true},       {"cpuset-mems", 0, true},    {"kernel-memory", 0, true},
    {"kernel-memory-tcp", 0, true}, {"memory", 0, true},         {"memory-reservation", 0, true},
    {"memory-swap", 0, true},       {"pids-limit", 0, true},     {"l3-cache-schema", 0, true},
    {"mem-bw-schema", 0, true}};

template <typename T>
Result<void> number(const Arguments& arguments, const char* name, std::optional<T>& out) {
  if (!arguments.has(name)) return {};
  const auto value = parse_signed(arguments.get(name));
  if (!value || !std::in_range<T>(*value)) {
    return make_error(Errc::invalid, "invalid value for {}: {}", name, arguments.get(name));
  }
  out = static_cast<T>(*value);
  return {};
}

Result<void> bytes(const Arguments& arguments, const char* name, std::optional<std::int64_t>& out) {
  if (!arguments.has(name)) return {};
  auto value = parse_bytes(arguments.get(name));
  if (!value) return make_error(Errc::invalid, "invalid value for {}: {}", name, arguments.get(name));
  out = *value;
  return {};
}

Result<spec::Resources> from_options(const Arguments& arguments) {
  spec::Resources resources;
  auto& memory = resources.memory.emplace();
  auto& cpu = resources.cpu.emplace();
  auto& io = resources.block_io.emplace();
  TRY(bytes(arguments, "memory", memory.limit));
  TRY(bytes(arguments, "memory-reservation", memory.reservation));
  TRY(bytes(arguments, "memory-swap", memory.swap));
  TRY(bytes(arguments, "kernel-memory", memory.kernel));
  TRY(bytes(arguments, "kernel-memory-tcp", memory.kernel_tcp));
  TRY(number(arguments, "cpu-share", cpu.shares));
  TRY(number(arguments, "cpu-period", cpu.period));
  TRY(number(arguments, "cpu-quota", cpu.quota));
  TRY(number(arguments, "cpu-burst", cpu.burst));
  TRY(number(arguments, "cpu-rt-period", cpu.realtime_period));
  TRY(number(arguments, "cpu-rt-runtime", cpu.realtime_runtime));
  TRY(number(arguments, "cpu-idle", cpu.idle));
  cpu.cpus = arguments.get("cpuset-cpus");
  cpu.mems = arguments.get("cpuset-mems");
  TRY(number(arguments, "pids-limit", resources.pids_limit));
  TRY(number(arguments, "blkio-weight", io.weight));
  return resources;
}

/// The figures under the names of `runc events --stats`.
nlohmann::ordered_json stats_json(const Container& container, const cgroup::Usage& usage) {
  const auto memory = nlohmann::ordered_json{{"limit", usage.memory_limit_bytes},
                                             {"usage", usage.memory_bytes},
                                             {"max", usage.memory_peak_bytes},
                                             {"failcnt", usage.memory_failures}};
  return {{"type", "stats"},
          {"id", container.id()},
          {"data",
           {{"cpu",
             {{"usage",
               {{"total", usage.cpu_nanoseconds},
                {"kernel", usage.cpu_system_nanoseconds},
                {"user", usage.cpu_user_nanoseconds}}},
              {"throttling",
               {{"periods", usage.cpu_periods},
                {"throttledPeriods", usage.cpu_throttled_periods},
                {"throttledTime", usage.cpu_throttled_nanoseconds}}}}},
            {"memory",
             {{"usage", memory},
              {"cache", usage.memory_cache_bytes},
              {"swap", {{"usage", usage.swap_bytes}}},
              {"raw", usage.memory_stat}}},
            {"pids", {{"current", usage.pids}, {"limit", usage.pids_limit}}},
            {"blkio", {{"read", usage.block_read_bytes}, {"write", usage.block_write_bytes}}}}}};
}

}  // namespace

Result<int> update(const Globals& globals, Words words) {
  TRY_ASSIGN(const Arguments arguments, Arguments::parse(words, kOptions, true));
  TRY_ASSIGN(const std::string id, only_id(arguments));
  TRY_ASSIGN(const Container container, Container::load(globals.root, id));
  if (container.status() == Container::Status::stopped)
    return make_error(Errc::invalid, "container \"{}\" is not running", id);
  spec::Resources resources;
  if (arguments.has("resources")) {
    const std::string path = arguments.get("resources");
    auto text = path == "-" ? sys::read_all(0) : sys::read_file(path);
    if (!text) return std::move(text).error();
    TRY_ASSIGN(resources, spec::parse_resources(*text).with("{}", path));
  } else {
    TRY_ASSIGN(resources, from_options(arguments));
  }
  const auto group = container.group();
  if (!group) return make_error(Errc::unsupported, "container \"{}\" has no control group", id);
  TRY_ASSIGN(const cgroup::Layout layout, cgroup::detect_layout());
  // A missing list of devices means "as they are" here, other than at create.
  const bool with_devices = !resources.devices.empty();
  TRY_ASSIGN(cgroup::Plan plan, cgroup::compile(resources, group->path(), layout));
  if (!with_devices) {
    std::erase_if(plan.settings, [](const auto& setting) { return setting.controller == "devices"; });
    plan.device_program.clear();
  }
  TRY(group->apply(plan));
  return 0;
}

Result<int> events(const Globals& globals, Words words) {
  static constexpr OptionSpec kEventOptions[] = {{"stats", 0, false}, {"interval", 0, true}};
  TRY_ASSIGN(const Arguments arguments, Arguments::parse(words, kEventOptions, true));
  TRY_ASSIGN(const std::string id, only_id(arguments));
  TRY_ASSIGN(const Container container, Container::load(globals.root, id));
  TRY_ASSIGN(const Duration interval, parse_duration(arguments.get("interval", "5s")));
  const auto group = container.group();
  auto process = container.open_process();
  if (!process) return make_error(Errc::invalid, "container with id {} is not running", id);
  if (!group) return make_error(Errc::unsupported, "container \"{}\" has no control group", id);
  std::uint64_t ooms = group->oom_kills();
  for (;;) {
    TRY_ASSIGN(const cgroup::Usage usage, group->usage());
    if (usage.oom_kills > ooms)
      std::printf(R"({"type":"oom","id":"%s"})"
                  "\n",
                  id.c_str());
    ooms = usage.oom_kills;
    std::puts(stats_json(container, usage).dump().c_str());
    std::fflush(stdout);
    if (arguments.flag("stats")) return 0;
    pollfd poll{process->get(), POLLIN, 0};
    if (::poll(&poll, 1, static_cast<int>(interval.count() / 1'000'000)) > 0) return 0;  // it has ended
  }
}

}  // namespace compose::runtime::cli

// compose stats: what containers use, from their cgroups and their network namespaces.
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>

#include "base/ids.hpp"
#include "base/strings.hpp"
#include "base/units.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/listing.hpp"
#include "cli/session.hpp"
#include "runtime/cgroup/cgroup.hpp"
#include "sys/file.hpp"

namespace compose::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  bool all = false;
  std::string format;
  bool no_stream = false;
  bool no_trunc = false;
};

struct Sample {
  runtime::cgroup::Usage usage;
  Clock::time_point at;
  std::uint64_t received = 0;
  std::uint64_t sent = 0;
};

/// Bytes over all interfaces but lo, from the container's own /proc/PID/net/dev.
void read_traffic(pid_t pid, Sample& sample) {
  const auto text = sys::read_file(fmt::format("/proc/{}/net/dev", pid));
  if (!text) return;
  for (const std::string& line : split(*text, '\n')) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos || trim(line.substr(0, colon)) == "lo") continue;
    std::vector<std::uint64_t> numbers;
    for (const std::string& word : split(line.substr(colon + 1), ' '))
      if (const auto number = parse_unsigned(word)) numbers.push_back(*number);
    if (numbers.size() < 9) continue;
    sample.received += numbers[0];
    sample.sent += numbers[8];
  }
}

std::uint64_t host_memory() {
  return static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

/// 1024-based, as Docker writes memory: "12.5MiB".
std::string binary_size(std::uint64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  return fmt::format("{:.4g}{}", value, kUnits[unit]);
}

nlohmann::ordered_json row_of(const state::ContainerRecord& container, const Sample* before, const Sample* now,
                              bool no_trunc) {
  nlohmann::ordered_json row = {{"Container", container.name},
                                {"ID", no_trunc ? container.id : short_id(container.id)},
                                {"Name", container.name},
                                {"Service", container.service},
                                {"CPUPerc", "--"},
                                {"MemUsage", "-- / --"},
                                {"MemPerc", "--"},
                                {"NetIO", "--"},
                                {"BlockIO", "--"},
                                {"PIDs", "--"}};
  if (now == nullptr) return row;
  double processor = 0;
  if (before != nullptr) {
    const double passed = static_cast<double>(std::chrono::nanoseconds{now->at - before->at}.count());
    const auto used = now->usage.cpu_nanoseconds - std::min(before->usage.cpu_nanoseconds, now->usage.cpu_nanoseconds);
    processor = passed > 0 ? static_cast<double>(used) / passed * 100 : 0;
  }
  const std::uint64_t total = host_memory();
  const std::uint64_t limit =
      now->usage.memory_limit_bytes == 0 ? total : std::min(total, now->usage.memory_limit_bytes);
  const std::uint64_t memory =
      now->usage.memory_bytes - std::min(now->usage.memory_cache_bytes, now->usage.memory_bytes);
  row["CPUPerc"] = fmt::format("{:.2f}%", processor);
  row["MemUsage"] = binary_size(memory) + " / " + binary_size(limit);
  row["MemPerc"] = fmt::format("{:.2f}%", static_cast<double>(memory) / static_cast<double>(limit) * 100);
  row["NetIO"] = format_bytes(now->received) + " / " + format_bytes(now->sent);
  row["BlockIO"] = format_bytes(now->usage.block_read_bytes) + " / " + format_bytes(now->usage.block_write_bytes);
  row["PIDs"] = fmt::format("{}", now->usage.pids);
  return row;
}

/// Ten cells, filled as far as `percent` of `whole` goes.
std::string bar(double percent, double whole) {
  constexpr int kCells = 10;
  const int filled = std::clamp(static_cast<int>(percent / whole * kCells + 0.5), 0, kCells);
  std::string text;
  for (int i = 0; i < kCells; ++i) text += i < filled ? "█" : "░";
  return text;
}

/// For a person at a terminal: how much of the machine's processors and of the memory limit is in use.
void add_bars(nlohmann::ordered_json& row) {
  const double processors = static_cast<double>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN))) * 100;
  for (const auto& [key, whole] : {std::pair{"CPUPerc", processors}, std::pair{"MemPerc", 100.0}}) {
    const std::string text = row[key].get<std::string>();
    if (text.ends_with('%')) row[key] = bar(std::strtod(text.c_str(), nullptr), whole) + " " + text;
  }
}

class Stats {
 public:
  Stats(Context& context, const Options& options, ProjectScope scope, Strings services, runtime::cgroup::Layout layout)
      : context_{context},
        options_{options},
        scope_{std::move(scope)},
        services_{std::move(services)},
        layout_{std::move(layout)} {}

  Result<int> run() {
    TRY_ASSIGN(Signals signals, Signals::take({SIGINT, SIGTERM}));
    TRY_ASSIGN(std::string text, sample());  // the first one only gives the processors' starting point
    const bool terminal = is_terminal(STDOUT_FILENO);
    while (true) {
      constexpr int kShort = 250;
      constexpr int kLong = 1000;
      pollfd polled{signals.fd(), POLLIN, 0};
      if (::poll(&polled, 1, options_.no_stream || first_ ? kShort : kLong) < 0 && errno != EINTR)
        return os_error("waiting");
      if (signals.next() != 0) return 128 + SIGINT;
      first_ = false;
      TRY_ASSIGN(text, sample());
      TRY(print(options_.no_stream || !terminal ? text : "\x1b[H\x1b[2J" + text));
      if (options_.no_stream) return 0;
    }
  }

 private:
  Result<std::string> sample() {
    TRY_ASSIGN(const auto containers,
               context_.containers(scope_, {.services = services_, .one_off = true, .stopped = options_.all}));
    std::map<std::string, Sample> now;
    std::vector<nlohmann::ordered_json> rows;
    for (const auto& container : containers) {
      const Sample* current = nullptr;
      if (container.phase == state::Phase::running) {
        const auto group = runtime::cgroup::Group::open(layout_, state::Paths::cgroup(container.project, container.id));
        if (auto usage = group.usage()) {
          Sample taken{*std::move(usage), Clock::now()};
          read_traffic(container.pid, taken);
          current = &(now[container.id] = std::move(taken));
        }
      }
      const auto before = previous_.find(container.id);
      rows.push_back(
          row_of(container, before == previous_.end() ? nullptr : &before->second, current, options_.no_trunc));
    }
    previous_ = std::move(now);
    if (options_.format.empty() && is_terminal(STDOUT_FILENO)) {
      for (auto& row : rows) add_bars(row);
    }
    const Listing listing{{{"CONTAINER ID", "ID"},
                           {"NAME", "Name"},
                           {"CPU %", "CPUPerc"},
                           {"MEM USAGE / LIMIT", "MemUsage"},
                           {"MEM %", "MemPerc"},
                           {"NET I/O", "NetIO"},
                           {"BLOCK I/O", "BlockIO"},
                           {"PIDS", "PIDs"}}};
    return render_listing(listing, options_.format, rows);
  }

  Context& context_;
  const Options& options_;
  ProjectScope scope_;
  Strings services_;
  runtime::cgroup::Layout layout_;
  std::map<std::string, Sample> previous_;
  bool first_ = true;
};

Result<int> stats(Context& context, const Options& options, const Strings& services) {
  TRY_ASSIGN(ProjectScope scope, context.scope({.services = services, .name_is_enough = true}));
  TRY_ASSIGN(auto layout, runtime::cgroup::detect_layout());
  return Stats{context, options, std::move(scope), services, std::move(layout)}.run();
}

}  // namespace

Command stats_command() {
  auto options = std::make_shared<Options>();
  Command command{.name = "stats", .usage = "[OPTIONS] [SERVICE...]", .summary = "Show what containers use"};
  command.flags = {{"all", 'a', &options->all, "Also containers that do not run"},
                   {"format", 0, &options->format, "table, json or a Go template", "FORMAT"},
                   {"no-stream", 0, &options->no_stream, "Once, then end"},
                   {"no-trunc", 0, &options->no_trunc, "Whole ids"}};
  command.complete = Complete::services;
  command.run = [options](Context& context, const Strings& services) { return stats(context, *options, services); };
  return command;
}

}  // namespace compose::cli

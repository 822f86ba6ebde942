// compose port and compose top: looked up in the records and in /proc.
#include <pwd.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "base/strings.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/table.hpp"
#include "runtime/cgroup/cgroup.hpp"
#include "sys/file.hpp"

namespace compose::cli {
namespace {

Result<int> port(Context& context, int index, const std::string& protocol, const Strings& arguments) {
  std::string number = arguments[1];
  std::string wanted_protocol = to_lower(protocol);
  if (const std::size_t slash = number.find('/'); slash != std::string::npos) {
    wanted_protocol = number.substr(slash + 1);
    number.resize(slash);
  }
  const auto wanted = parse_unsigned(number);
  if (!wanted || *wanted == 0 || *wanted > 65535)
    return make_error(Errc::invalid, "\"{}\" is not a port", arguments[1]);
  TRY_ASSIGN(const ProjectScope scope, context.scope({.services = {arguments[0]}, .name_is_enough = true}));
  TRY_ASSIGN(const auto container, context.container(scope, arguments[0], index));
  for (const auto& one : container.ports) {
    if (one.container_port != *wanted || one.protocol != wanted_protocol || one.host_port == 0) continue;
    const bool v6 = one.host_ip.find(':') != std::string::npos;
    const std::string host = one.host_ip.empty() ? "0.0.0.0" : v6 ? "[" + one.host_ip + "]" : one.host_ip;
    TRY(print(fmt::format("{}:{}\n", host, one.host_port)));
    return 0;
  }
  return make_error(Errc::not_found, "no port {}/{} for container {}", *wanted, wanted_protocol, container.name);
}

/// Fields of /proc/PID/stat after the command's name; [0] is the state (field 3 of proc(5)).
Result<Strings> stat_fields(pid_t pid) {
  TRY_ASSIGN(const std::string text, sys::read_file(fmt::format("/proc/{}/stat", pid)));
  const std::size_t close = text.rfind(')');
  if (close == std::string::npos) return make_error(Errc::corrupt, "/proc/{}/stat", pid);
  return split(trim(std::string_view{text}.substr(close + 1)), ' ');
}

std::string user_of(pid_t pid) {
  const auto status = sys::read_file(fmt::format("/proc/{}/status", pid));
  if (!status) return "?";
  const std::size_t at = status->find("\nUid:\t");
  if (at == std::string::npos) return "?";
  const auto uid = parse_unsigned(status->substr(at + 6, status->find('\t', at + 6) - at - 6));
  const passwd* entry = uid ? ::getpwuid(static_cast<uid_t>(*uid)) : nullptr;
  return entry != nullptr ? std::string{entry->pw_name} : uid ? fmt::format("{}", *uid) : "?";
}

std::string command_line(pid_t pid, const Strings& fields) {
  std::string text = sys::read_file(fmt::format("/proc/{}/cmdline", pid)).value_or("");
  while (!text.empty() && text.back() == '\0') text.pop_back();
  std::replace(text.begin(), text.end(), '\0', ' ');
  if (!text.empty() || fields.empty()) return text;
  return "[" + std::string{trim(sys::read_file(fmt::format("/proc/{}/comm", pid)).value_or("?"))} + "]";
}

std::string terminal_name(std::uint64_t device) {
  if (device == 0) return "?";
  const unsigned number = gnu_dev_minor(device);
  return gnu_dev_major(device) >= 136 && gnu_dev_major(device) <= 143 ? fmt::format("pts/{}", number) : "tty";
}

/// The columns of `ps -ef` for one process.
std::optional<Strings> process_row(pid_t pid) {
  const auto fields = stat_fields(pid);
  if (!fields || fields->size() < 22) return std::nullopt;
  const auto number = [&](std::size_t i) { return parse_signed((*fields)[i]).value_or(0); };
  const long ticks = ::sysconf(_SC_CLK_TCK);
  const std::int64_t used = (number(11) + number(12)) / ticks;  // utime + stime
  timespec boot{};
  ::clock_gettime(CLOCK_BOOTTIME, &boot);
  const std::int64_t age = std::max<std::int64_t>(0, boot.tv_sec - number(19) / ticks);  // starttime
  const std::time_t started = ::time(nullptr) - age;
  std::tm parts{};
  ::localtime_r(&started, &parts);
  const std::string since = age < 86400 ? fmt::format("{:02}:{:02}", parts.tm_hour, parts.tm_min)
                                        : fmt::format("{:02}-{:02}", parts.tm_mon + 1, parts.tm_mday);
  return Strings{user_of(pid),
                 fmt::format("{}", pid),
                 (*fields)[1],
                 fmt::format("{}", age == 0 ? 0 : used * 100 / age),
                 since,
                 terminal_name(static_cast<std::uint64_t>(number(4))),
                 fmt::format("{:02}:{:02}:{:02}", used / 3600, used / 60 % 60, used % 60),
                 command_line(pid, *fields)};
}

Result<int> top(Context& context, const Strings& services) {
  TRY_ASSIGN(const ProjectScope scope, context.scope({.services = services, .name_is_enough = true}));
  TRY_ASSIGN(const auto containers,
             context.containers(scope, {.services = services, .one_off = true, .stopped = false}));
  TRY_ASSIGN(const auto layout, runtime::cgroup::detect_layout());
  Table table{{"SERVICE", "#", "UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"}};
  for (const auto& container : containers) {
    const auto group = runtime::cgroup::Group::open(layout, state::Paths::cgroup(container.project, container.id));
    TRY_ASSIGN(auto pids, group.processes());
    std::sort(pids.begin(), pids.end());
    for (const pid_t pid : pids) {
      auto row = process_row(pid);
      if (!row) continue;  // it ended while we looked
      row->insert(row->begin(), {container.service, fmt::format("{}", container.number)});
      table.add(*std::move(row));
    }
  }
  if (!table.empty()) TRY(print(table.render()));
  return 0;
}

}  // namespace

Command port_command() {
  struct Options {
    int index = 0;
    std::string protocol = "tcp";
  };
  auto options = std::make_shared<Options>();
  Command command{
      .name = "port", .usage = "[OPTIONS] SERVICE PRIVATE_PORT", .summary = "Show the host port of a container's port"};
  command.flags = {{"index", 0, &options->index, "Container number N of the service"},
                   {"protocol", 0, &options->protocol, "tcp or udp", "PROTOCOL"}};
  command.min_args = command.max_args = 2;
  command.complete = Complete::services;
  command.run = [options](Context& context, const Strings& arguments) {
    return port(context, options->index, options->protocol, arguments);
  };
  return command;
}

Command top_command() {
  Command command{.name = "top", .usage = "[SERVICE...]", .summary = "Show the processes of containers"};
  command.complete = Complete::services;
  command.run = [](Context& context, const Strings& services) { return top(context, services); };
  return command;
}

}  // namespace compose::cli

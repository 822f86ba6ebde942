// state, list, ps, kill, delete, pause, resume.
#include <fcntl.h>
#include <pwd.h>
#include <regex.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/strings.hpp"
#include "runtime/cli/commands.hpp"
#include "runtime/container/container.hpp"
#include "runtime/launch/hooks.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

namespace compose::runtime::cli {
namespace {

using container::Container;
using Status = Container::Status;

/// "TERM", "SIGTERM", "15", "rtmin+3"
Result<int> signal_number(const std::string& text) {
  static constexpr std::array<std::pair<std::string_view, int>, 34> kNames = {
      {{"HUP", SIGHUP},   {"INT", SIGINT},       {"QUIT", SIGQUIT},     {"ILL", SIGILL},   {"TRAP", SIGTRAP},
       {"ABRT", SIGABRT}, {"IOT", SIGABRT},      {"BUS", SIGBUS},       {"FPE", SIGFPE},   {"KILL", SIGKILL},
       {"USR1", SIGUSR1}, {"SEGV", SIGSEGV},     {"USR2", SIGUSR2},     {"PIPE", SIGPIPE}, {"ALRM", SIGALRM},
       {"TERM", SIGTERM}, {"STKFLT", SIGSTKFLT}, {"CHLD", SIGCHLD},     {"CLD", SIGCHLD},  {"CONT", SIGCONT},
       {"STOP", SIGSTOP}, {"TSTP", SIGTSTP},     {"TTIN", SIGTTIN},     {"TTOU", SIGTTOU}, {"URG", SIGURG},
       {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ},     {"VTALRM", SIGVTALRM}, {"PROF", SIGPROF}, {"WINCH", SIGWINCH},
       {"IO", SIGIO},     {"POLL", SIGIO},       {"PWR", SIGPWR},       {"SYS", SIGSYS}}};
  std::string name;
  for (const char c : text) name += static_cast<char>(::toupper(static_cast<unsigned char>(c)));
  if (is_digits(name)) {
    const auto number = parse_unsigned(name);
    if (number && *number < 65) return static_cast<int>(*number);
  }
  if (name.starts_with("SIG")) name.erase(0, 3);
  for (const auto& [known, number] : kNames) {
    if (known == name) return number;
  }
  if (name == "RTMIN") return 34;
  if (name == "RTMAX") return 64;
  if (name.starts_with("RTMIN+") || name.starts_with("RTMAX-")) {
    const auto offset = parse_unsigned(name.substr(6));
    if (offset && *offset <= 30)
      return name[2] == 'M' && name[4] == 'N' ? 34 + static_cast<int>(*offset) : 64 - static_cast<int>(*offset);
  }
  return make_error(Errc::invalid, "unknown signal \"{}\"", text);
}

Result<Container> load_only(const Globals& globals, Words words) {
  TRY_ASSIGN(const Arguments arguments, Arguments::parse(words, {}, true));
  TRY_ASSIGN(const std::string id, only_id(arguments));
  return Container::load(globals.root, id);
}

Result<cgroup::Group> group_of(const Container& container) {
  auto group = container.group();
  if (!group) return make_error(Errc::unsupported, "container \"{}\" has no control group", container.id());
  return std::move(*group);
}

std::string owner_of(const std::string& directory) {
  struct stat status{};
  if (::stat(directory.c_str(), &status) != 0) return {};
  return status.st_uid == 0 ? "root" : std::to_string(status.st_uid);
}

}  // namespace

Result<int> state(const Globals& globals, Words words) {
  TRY_ASSIGN(const Container container, load_only(globals, words));
  std::puts(container.state_json().c_str());
  return 0;
}

Result<int> list(const Globals& globals, Words words) {
  static constexpr OptionSpec kOptions[] = {{"quiet", 'q', false}, {"format", 'f', true}};
  TRY_ASSIGN(const Arguments arguments, Arguments::parse(words, kOptions, true));
  const std::string format = arguments.get("format", "table");
  if (format != "table" && format != "json") return make_error(Errc::invalid, "invalid format option");
  if (globals.root_is_given && !sys::exists(globals.root)) {
    return make_error(Errc::not_found, "--root {}: no such directory", globals.root);
  }
  TRY_ASSIGN(const auto ids, Container::list(globals.root));
  auto all = nlohmann::ordered_json::array();
  if (format == "table" && !arguments.flag("quiet")) {
    std::printf("%-12s %-11s %-11s %-19s %-31s %s\n", "ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER");
  }
  for (const auto& id : ids) {
    if (arguments.flag("quiet")) {
      std::puts(id.c_str());
      continue;
    }
    auto container = Container::load(globals.root, id);
    if (!container) continue;  // removed meanwhile
    const char* status = Container::name(container->status());
    const std::string owner = owner_of(container->directory());
    if (format == "json") {
      auto json = nlohmann::ordered_json::parse(container->state_json());
      json["owner"] = owner;
      all.push_back(std::move(json));
    } else {
      std::printf("%-12s %-11d %-11s %-19s %-31s %s\n", id.c_str(), container->pid(), status,
                  container->bundle().c_str(), container->created().c_str(), owner.c_str());
    }
  }
  if (format == "json" && !arguments.flag("quiet")) std::puts(all.dump().c_str());
  return 0;
}

namespace {

/// What the host's ps(1) prints.
Result<std::string> process_table(std::vector<std::string> options) {
  const UniqueFd output{::memfd_create("ps", MFD_CLOEXEC)};
  if (!output.valid()) return os_error("memfd_create");
  sys::SpawnOptions spawn;
  spawn.program = sys::exists("/bin/ps") ? "/bin/ps" : "/usr/bin/ps";
  spawn.arguments = {"ps"};
  spawn.arguments.insert(spawn.arguments.end(), options.begin(), options.end());
  spawn.fds = {{0, 0}, {output.get(), 1}, {2, 2}};
  TRY_ASSIGN(const sys::Child child, sys::spawn(spawn).with("ps"));
  TRY_ASSIGN(const sys::ExitStatus status, sys::wait_child(child.pid));
  if (status.code != 0) return make_error(Errc::failed, "ps ended with exit status {}", status.code);
  if (::lseek(output.get(), 0, SEEK_SET) != 0) return os_error("read the output of ps");
  return sys::read_all(output.get());
}

/// The heading and the rows whose column PID is one of `pids`.
std::string only_rows_of(const std::string& table, const std::vector<pid_t>& pids) {
  std::string result;
  std::optional<std::size_t> column;
  for (const auto& line : split(table, '\n')) {
    std::vector<std::string> words = split(line, ' ');
    std::erase(words, "");
    if (!column) {
      const auto heading = std::ranges::find(words, "PID");
      if (heading == words.end()) return table;
      column = static_cast<std::size_t>(heading - words.begin());
    } else {
      const auto pid = *column < words.size() ? parse_unsigned(words[*column]) : std::nullopt;
      if (!pid || std::ranges::find(pids, static_cast<pid_t>(*pid)) == pids.end()) continue;
    }
    result += line + "\n";
  }
  return result;
}

}  // namespace

Result<int> ps(const Globals& globals, Words words) {
  static constexpr OptionSpec kOptions[] = {{"format", 'f', true}};
  TRY_ASSIGN(const Arguments arguments, Arguments::parse(words, kOptions, false));
  if (arguments.words().empty()) return make_error(Errc::invalid, "the id of a container is missing");
  TRY_ASSIGN(const Container container, Container::load(globals.root, arguments.words().front()));
  std::vector<pid_t> pids;
  if (auto group = container.group()) {
    TRY_ASSIGN(pids, group->processes());
  } else if (container.pid() != 0) {
    pids.push_back(container.pid());
  }
  const std::string format = arguments.get("format", "table");
  if (format == "json") {
    std::puts(nlohmann::json(pids).dump().c_str());
    return 0;
  }
  if (format != "table") return make_error(Errc::invalid, "invalid format option");
  std::vector<std::string> wanted{arguments.words().begin() + 1, arguments.words().end()};
  if (wanted.empty()) wanted = {"-ef"};
  TRY_ASSIGN(const std::string table, process_table(std::move(wanted)));
  std::fputs(only_rows_of(table, pids).c_str(), stdout);
  return 0;
}

namespace {
bool shares_pids(const Container& container) {
  const auto plan = container.plan();
  return plan.ok() && (plan->create_namespaces & CLONE_NEWPID) == 0;
}
}  // namespace

Result<int> kill(const Globals& globals, Words words) {
  static constexpr OptionSpec kOptions[] = {{"all", 'a', false}};
  TRY_ASSIGN(const Arguments arguments, Arguments::parse(words, kOptions, true));
  if (arguments.words().empty()) return make_error(Errc::invalid, "the id of a container is missing");
  TRY_ASSIGN(const Container container, Container::load(globals.root, arguments.words().front()));
  TRY_ASSIGN(const int signo, signal_number(arguments.words().size() > 1 ? arguments.words()[1] : "TERM"));
  if (arguments.flag("all")) {
    TRY_ASSIGN(const cgroup::Group group, group_of(container));
    if (signo == SIGKILL) {
      TRY(group.kill_all());
    } else {
      TRY(group.signal_all(signo));
    }
    return 0;
  }
  // Where the first process is not the pid namespace's, its end leaves the others alive.
  if (signo == SIGKILL && shares_pids(container)) {
    const auto group = container.group();
    if (group && group->populated()) {
      TRY(group->kill_all());
      return 0;
    }
  }
  auto process = container.open_process();
  if (!process) return make_error(Errc::invalid, "container not running");
  TRY(sys::send_signal(process->get(), signo));
  return 0;
}

namespace {

Result<void> remove_one(const Globals& globals, const std::string& id, bool force) {
  auto container = Container::load(globals.root, id);
  if (!container) {
    // What a broken create may have left.
    if (force && container::check_id(id)) return sys::remove_tree(globals.root + "/" + id);
    return std::move(container).error();
  }
  const Status status = container->status();
  if (status != Status::stopped && !force) {
    return make_error(Errc::busy, "cannot delete container {} that is not stopped: {}", id, Container::name(status));
  }
  auto plan = container->plan();
  if (status != Status::stopped) {
    if (auto process = container->open_process()) {
      (void)sys::send_signal(process->get(), SIGKILL);
      if (auto group = container->group()) {
        if (status == Status::paused) (void)group->thaw();
      }
    }
  }
  TRY(container->remove());
  if (plan) launch::run_all_hooks(plan->poststop, launch::state_json(*plan, "stopped", 0), "poststop");
  return {};
}

/// The containers whose id the expression matches; crun's `delete --regex`.
Result<std::vector<std::string>> matching(const std::string& root, const std::string& pattern) {
  regex_t expression{};
  if (::regcomp(&expression, pattern.c_str(), REG_EXTENDED | REG_NOSUB) != 0) {
    return make_error(Errc::invalid, "--regex: \"{}\" is no regular expression", pattern);
  }
  auto ids = Container::list(root);
  if (ids) {
    std::erase_if(*ids, [&](const auto& id) { return ::regexec(&expression, id.c_str(), 0, nullptr, 0) != 0; });
  }
  ::regfree(&expression);
  return ids;
}

}  // namespace

Result<int> remove(const Globals& globals, Words words) {
  static constexpr OptionSpec kOptions[] = {{"force", 'f', false}, {"regex", 'r', false}};
  TRY_ASSIGN(const Arguments arguments, Arguments::parse(words, kOptions, true));
  TRY_ASSIGN(const std::string id, only_id(arguments));
  std::vector<std::string> ids{id};
  if (arguments.flag("regex")) {
    TRY_ASSIGN(ids, matching(globals.root, id));
  }
  for (const auto& one : ids) TRY(remove_one(globals, one, arguments.flag("force")));
  return 0;
}

Result<int> pause(const Globals& globals, Words words) {
  TRY_ASSIGN(const Container container, load_only(globals, words));
  const Status status = container.status();
  if (status != Status::running && status != Status::created) {
    return make_error(Errc::invalid, "container not running or created: {}", Container::name(status));
  }
  TRY_ASSIGN(const cgroup::Group group, group_of(container));
  TRY(group.freeze());
  return 0;
}

Result<int> resume(const Globals& globals, Words words) {
  TRY_ASSIGN(const Container container, load_only(globals, words));
  if (container.status() != Status::paused) return make_error(Errc::invalid, "container not paused");
  TRY_ASSIGN(const cgroup::Group group, group_of(container));
  TRY(group.thaw());
  return 0;
}

}  // namespace compose::runtime::cli

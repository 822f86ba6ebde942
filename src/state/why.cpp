#include "state/why.hpp"

#include <signal.h>
#include <string.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.hpp"
#include "state/log_reader.hpp"
#include "sys/file.hpp"

namespace compose::state {

using nlohmann::json;

namespace {

constexpr std::size_t kLines = 10;
constexpr auto kWorks = std::chrono::seconds{10};
constexpr std::uint64_t kAlmostFull = 64 << 10;  // bytes: no record fits any more

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

std::string signal_name(int number) {
  const char* name = ::sigabbrev_np(number);
  return name == nullptr ? fmt::format("signal {}", number) : fmt::format("SIG{} (signal {})", name, number);
}

json read_object(const std::string& path) {
  const auto text = sys::read_file(path);
  json object = text ? json::parse(*text, nullptr, false) : json::object();
  return object.is_object() ? object : json::object();
}

class Judge {
 public:
  explicit Judge(const WhyInput& input) : in_{input} {
    for (const ContainerRecord& record : in_.containers) {
      if (subject_ == nullptr || worse(record, *subject_)) subject_ = &record;
    }
  }

  Verdict run() {
    if (disk_is_full()) return std::move(verdict_);
    if (subject_ == nullptr) return without_container();
    const ContainerRecord& r = *subject_;
    if (r.phase == Phase::running) {
      running(r);
    } else if (r.phase == Phase::created) {
      not_started(r);
    } else {
      ended(r);
    }
    add_details(r);
    return std::move(verdict_);
  }

 private:
  static int rank(const ContainerRecord& record) {
    if (record.phase == Phase::running) return record.health.status == "unhealthy" ? 2 : 0;
    return record.phase == Phase::exited && record.exit_code == 0 ? 1 : 3;
  }
  static bool worse(const ContainerRecord& a, const ContainerRecord& b) { return rank(a) > rank(b); }

  bool output_has(std::string_view text) const {
    return std::ranges::any_of(in_.lines, [&](const std::string& line) { return contains(line, text); });
  }

  bool disk_is_full() {
    const bool told = in_.failure && contains(in_.failure->message, "No space left on device");
    if (in_.free_bytes >= kAlmostFull && !told) return false;
    verdict_.headline = fmt::format("the disk of {} is full ({} bytes free): logs and state are kept there", in_.folder,
                                    in_.free_bytes);
    if (subject_ != nullptr && subject_->phase == Phase::running) {
      verdict_.details.push_back(fmt::format("container {} runs, but what it writes is lost", subject_->name));
    }
    if (in_.failure) verdict_.details.push_back("the last command failed: " + in_.failure->message);
    verdict_.details.emplace_back("make room, then run \"up\" again");
    return true;
  }

  /// Nothing was ever made, or it was taken away again: how the last command failed tells why.
  Verdict without_container() {
    if (!in_.failure) {
      const auto* request = last_request({"down", "rm"});
      verdict_.headline =
          fmt::format("service {} has no container: {}", in_.service,
                      request == nullptr ? "it was never started" : "it was removed by " + who(*request));
      return std::move(verdict_);
    }
    const FailureRecord& failure = *in_.failure;
    const std::string place = failure.position.empty() ? "" : failure.position + ": ";
    if (contains(failure.message, '"' + in_.service + '"')) {
      verdict_.headline = fmt::format("it could not be started: {}{}", place, failure.message);
    } else {
      blame_another(failure);
    }
    verdict_.details.push_back("the last command failed at " + format_time(failure.at) +
                               " and took back what it had begun");
    return std::move(verdict_);
  }

  /// The failure names another service.
  void blame_another(const FailureRecord& failure) {
    const std::string first = failure.message.substr(0, failure.message.find('\n'));
    verdict_.headline = "it does not run, because another service failed: " + first;
    for (const FailedContainer& other : failure.containers) {
      const std::string& service = other.record.service;
      if (service != in_.service && contains(failure.message, '"' + service + '"')) verdict_.ask.push_back(service);
    }
  }

  void running(const ContainerRecord& r) {
    if (r.health.status == "unhealthy") {
      verdict_.headline =
          fmt::format("it runs, but is unhealthy: its health check failed {} times in a row", r.health.failing_streak);
    } else if (r.health.status == "starting") {
      verdict_.headline = "it runs, but its health check has not passed yet";
    } else if (r.paused) {
      verdict_.headline = "it is paused";
      if (const auto* request = last_request({"pause"})) verdict_.headline += " by " + who(*request);
    } else {
      verdict_.headline = fmt::format("it runs{} since {}", r.health.status.empty() ? "" : " and is healthy,",
                                      format_time(r.started_at));
    }
  }

  void not_started(const ContainerRecord& r) {
    if (!r.error.empty()) {
      verdict_.headline = "it could not be started: " + r.error;
    } else if (in_.failure && !contains(in_.failure->message, '"' + in_.service + '"')) {
      blame_another(*in_.failure);
    } else if (in_.failure) {
      verdict_.headline = "it could not be started: " + in_.failure->message;
    } else {
      verdict_.headline = "its container was made, but never started";
    }
  }

  void ended(const ContainerRecord& r) {
    if (r.started_at == Time{} || (!r.error.empty() && r.finished_at < r.started_at)) {
      verdict_.headline = "it could not be started: " + r.error;
      return;
    }
    const auto* request = last_request({"kill", "stop", "restart", "down", "rm"});
    if (r.oom_killed) {
      verdict_.headline = "it " + describe_end(r) + limit();
    } else if (r.stopped_by_user && request != nullptr) {
      verdict_.headline =
          fmt::format("it was {} by {}", request->attributes.at("op") == "kill" ? "killed" : "stopped", who(*request));
    } else if (!r.error.empty()) {
      verdict_.headline = "it ended: " + r.error;
    } else if (r.exit_code == 128 + SIGKILL) {
      verdict_.headline =
          "it was killed with SIGKILL from outside: no command of compose and no memory limit did it (a person, or "
          "another program of this machine)";
    } else if (attribute("read_only") == "true" && output_has("Read-only file system")) {
      verdict_.headline = fmt::format(
          "it {}: its root file system is read-only (read_only: true) and it tried to write there", describe_end(r));
    } else {
      verdict_.headline = "it " + describe_end(r);
    }
    if (r.restarting) verdict_.details.emplace_back("its restart policy will start it again");
  }

  std::string attribute(const std::string& path) const {
    const auto found = in_.attributes.find(path);
    return found == in_.attributes.end() ? "" : found->second;
  }

  std::string limit() const {
    for (const char* path : {"mem_limit", "deploy.resources.limits.memory"}) {
      if (const std::string value = attribute(path); !value.empty()) return fmt::format(" ({}: {})", path, value);
    }
    return "";
  }

  /// The last request of one of these kinds that concerned the service.
  const ContainerEvent* last_request(std::initializer_list<std::string_view> kinds) const {
    for (auto event = in_.events.rbegin(); event != in_.events.rend(); ++event) {
      if (event->action != "request") continue;
      const auto op = event->attributes.find("op");
      if (op == event->attributes.end() || std::ranges::find(kinds, op->second) == kinds.end()) continue;
      const auto services = event->attributes.find("services");
      if (services == event->attributes.end() || services->second.empty()) return &*event;
      const auto names = split(services->second, ',');
      if (std::ranges::find(names, in_.service) != names.end()) return &*event;
    }
    return nullptr;
  }

  static std::string who(const ContainerEvent& event) {
    const auto value = [&](const char* name) {
      const auto found = event.attributes.find(name);
      return found == event.attributes.end() ? std::string{} : found->second;
    };
    std::string text = '"' + (value("command").empty() ? value("op") : value("command")) + '"';
    if (!value("uid").empty()) text += " (user id " + value("uid") + ", process " + value("pid") + ")";
    return text + " at " + format_time(event.at);
  }

  void add_details(const ContainerRecord& r) {
    if (r.restart_count > 0) verdict_.details.push_back(fmt::format("it was restarted {} times", r.restart_count));
    if (!r.health.log.empty() && r.health.status != "healthy") {
      const ProbeRecord& probe = r.health.log.back();
      verdict_.details.push_back(
          fmt::format("last probe ({}): exit code {}", join(r.healthcheck.test, " "), probe.exit_code));
      for (const std::string& line : split(trim(probe.output), '\n')) verdict_.details.push_back("  " + line);
    }
    if (!in_.lines.empty() && (r.phase != Phase::running || r.health.status == "unhealthy")) {
      verdict_.details.push_back(fmt::format("last lines of {}:", r.name));
      for (const std::string& line : in_.lines) verdict_.details.push_back("  " + line);
    }
  }

  const WhyInput& in_;
  const ContainerRecord* subject_ = nullptr;
  Verdict verdict_;
};

}  // namespace

Result<void> save_failure(const Paths& paths, const std::string& project, const FailureRecord& failure) {
  json containers = json::array();
  for (const FailedContainer& one : failure.containers) {
    containers.push_back({{"record", record_to_json(one.record)}, {"lines", one.lines}});
  }
  const json object = {{"time", format_time(failure.at)},
                       {"message", failure.message},
                       {"position", failure.position},
                       {"containers", std::move(containers)}};
  TRY(sys::make_directories(paths.failures(), 0700));
  return sys::write_file_atomic(paths.failure(project), object.dump(-1, ' ', false, json::error_handler_t::replace),
                                0600);
}

std::optional<FailureRecord> load_failure(const Paths& paths, const std::string& project) {
  const json object = read_object(paths.failure(project));
  if (object.empty()) return std::nullopt;
  try {
    FailureRecord failure;
    failure.at = parse_time(object.value("time", "")).value_or(Time{});
    failure.message = object.value("message", "");
    failure.position = object.value("position", "");
    for (const json& item : object.value("containers", json::array())) {
      auto record = record_from_json(item.value("record", ""));
      if (!record) continue;
      failure.containers.push_back({*std::move(record), item.value("lines", std::vector<std::string>{})});
    }
    return failure;
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

bool has_worked(const ContainerRecord& record) {
  if (!record.healthcheck.test.empty()) return record.health.status == "healthy";
  if (record.phase == Phase::exited && record.exit_code == 0 && record.error.empty()) return true;
  const Time end = record.phase == Phase::running ? std::chrono::system_clock::now() : record.finished_at;
  return record.started_at != Time{} && end - record.started_at >= kWorks;
}

Result<void> save_worked(const Paths& paths, const ContainerRecord& record) {
  json object = read_object(paths.worked(record.project));
  object[record.service] = record.made_from;
  return sys::write_file_atomic(paths.worked(record.project),
                                object.dump(-1, ' ', false, json::error_handler_t::replace), 0600);
}

std::string load_worked(const Paths& paths, const std::string& project, const std::string& service) {
  const json object = read_object(paths.worked(project));
  const auto found = object.find(service);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::vector<std::string> last_lines(const Paths& paths, const ContainerRecord& record) {
  std::vector<std::string> lines;
  LogQuery query;
  query.tail = kLines;
  [[maybe_unused]] const auto read = read_log(paths.log(record.project, record.id), query, [&](const LogLine& line) {
    lines.emplace_back(line.text.substr(0, 1000));
    return lines.size() < 10 * kLines;  // pieces of lines count as one
  });
  return lines;
}

std::string describe_end(const ContainerRecord& record) {
  if (record.oom_killed) return "was killed by the kernel: out of memory, it needed more than its limit";
  const int code = record.exit_code;
  if (code > 128 && code <= 128 + 64)
    return fmt::format("was ended by {}, exit code {}", signal_name(code - 128), code);
  return fmt::format("exited with code {}", code);
}

Verdict judge(const WhyInput& input) { return Judge{input}.run(); }

}  // namespace compose::state

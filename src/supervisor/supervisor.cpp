#include "supervisor/supervisor.hpp"

#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>

#include "net/firewall/ruleset_monitor.hpp"
#include "supervisor/addresses.hpp"
#include "supervisor/containers.hpp"
#include "supervisor/control_server.hpp"
#include "supervisor/journal.hpp"
#include "supervisor/leftovers.hpp"
#include "supervisor/names.hpp"
#include "supervisor/operations.hpp"
#include "supervisor/orphans.hpp"
#include "supervisor/recovery.hpp"
#include "supervisor/run_lock.hpp"
#include "supervisor/scheduler.hpp"
#include "supervisor/watchers.hpp"
#include "sys/file.hpp"
#include "sys/heap.hpp"

namespace compose::supervisor {

using nlohmann::json;

namespace {

// Who started us connects at once; who does not come was killed.
constexpr auto kFirstCommand = std::chrono::seconds{10};

class Supervisor {
 public:
  Supervisor(const SuperviseOptions& options, sys::FileLock lock, image::Store images)
      : options_{options},
        lock_{std::move(lock)},
        images_{std::move(images)},
        log_{options.paths.supervisor_log(options.project)},
        context_{loop_, options_.paths, options_.project, log_, runtime_},
        addresses_{context_},
        names_{context_, addresses_},
        containers_{
            context_, addresses_, names_,
            [this](const Container& container, const std::string& action) { watchers_.event(container, action); }},
        watchers_{context_, containers_},
        operations_{context_, containers_, addresses_, names_, images_},
        recovery_{containers_, [this](const std::vector<std::string>& services) { operations_.recover(services); }},
        scheduler_{context_, containers_,
                   [this](const std::string& service, Done done) { operations_.run_job(service, std::move(done)); }} {}

  Result<void> start() {
    TRY(watch_signals());
    containers_.subscribe([this](Container& container) {
      watchers_.changed(container);
      operations_.changed(container);
      recovery_.changed(container);
      scheduler_.changed(container);
      look_whether_to_end();
    });
    operations_.on_idle = [this] {
      // What the work took goes back when no other follows soon: a project stays for weeks.
      trim_ = loop_.call_after(std::chrono::seconds{2}, [] { sys::release_memory(); });
      scheduler_.arm();
      look_whether_to_end();
    };
    containers_.on_hook_line = [this](const Container& container, const std::string& step, const std::string& line) {
      operations_.hook_line(container, step, line);
    };
    remove_half_written(options_.paths, options_.project);
    TRY(containers_.adopt().with("taking over project \"{}\"", options_.project));
    watch_ruleset();
    TRY(scheduler_.start().with("project \"{}\"", options_.project));
    TRY_ASSIGN(server_,
               ControlServer::listen(
                   loop_, options_.paths.supervisor_socket(options_.project),
                   [this](const ConnectionPtr& connection, json request) { handle(connection, std::move(request)); },
                   [this](const ConnectionPtr& connection) { closed(connection); }));
    log_.write("supervising project {} ({} containers known)", options_.project, containers_.all().size());
    return {};
  }

  void run() {
    if (options_.adopt) {
      operations_.restore(containers_.take_to_restore());
      look_whether_to_end();
    } else {
      patience_ = loop_.call_after(kFirstCommand, [this] { look_whether_to_end(); });
    }
    loop_.run();
  }

 private:
  /// SIGTERM and SIGINT end the supervisor alone: the containers run on, the next command takes them up again.
  Result<void> watch_signals() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals_.valid()) return os_error("signalfd");
    signal_watch_ = loop_.watch_readable(signals_.get(), [this] {
      signalfd_siginfo info{};
      while (::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
        if (info.ssi_signo == SIGCHLD) {
          reap_orphans();
        } else {
          log_.write("ended by signal {}", info.ssi_signo);
          containers_.say_goodbye();
          return leave();
        }
      }
    });
    return {};
  }

  /// Somebody loads a firewall, or flushes everything: what containers need of the host's rules is put back at once.
  void watch_ruleset() {
    const auto look = [this] {
      const auto repaired = addresses_.repair();
      if (!repaired) return log_.write("the host's rules: {}", repaired.error().message());
      if (*repaired) log_.write("the host's firewall was changed: the rules of published ports and networks are back");
    };
    auto monitor = net::firewall::RulesetMonitor::start(loop_, look);
    if (!monitor) return log_.write("changes of the host's rules go unnoticed: {}", monitor.error().message());
    ruleset_ = *std::move(monitor);
    if (!containers_.all().empty()) look();
  }

  void handle(const ConnectionPtr& connection, json request) {
    patience_.reset();
    const std::string op = request.value("op", "");
    if (op == "cancel") return operations_.cancel(connection);
    if (op == "kill") return kill_now(connection, request);
    if (op == "rest") {
      waiting_for_rest_.push_back(connection);
      return look_whether_to_end();
    }
    try {
      if (watchers_.handle(connection, request)) return;
    } catch (const json::exception& e) {
      return connection->send({{"event", "result"}, {"ok", false}, {"error", e.what()}});
    }
    if (op == "stop" || op == "kill") scheduler_.suspend(services_of(request), true);
    if (op == "apply" || op == "scale" || op == "start" || op == "restart") {
      scheduler_.suspend(services_of(request), false);
    }
    // After a reboot the first command finds nothing running. One that takes away needs nothing started for it.
    const bool takes_away = op == "down" || op == "stop" || op == "rm";
    auto to_restore = containers_.take_to_restore();
    if (op == "restore") {
      request["ids"] = std::move(to_restore);  // who asks for just that sees it done, or why it cannot be
    } else if (!takes_away) {
      operations_.restore(std::move(to_restore));
    }
    operations_.submit(connection, std::move(request));
  }

  static std::vector<std::string> services_of(const json& request) {
    const json options = request.value("options", json::object());
    return (options.contains("services") ? options : request).value("services", std::vector<std::string>{});
  }

  /// SIGKILL must not wait behind the stop it is to hurry up.
  void kill_now(const ConnectionPtr& connection, const json& request) {
    const json options = request.value("options", json::object());
    const auto services = request.value("services", std::vector<std::string>{});
    const std::string name = options.value("signal", "SIGKILL");
    const auto signal = parse_signal(name);
    if (!signal) {
      return connection->send({{"event", "result"}, {"ok", false}, {"error", signal.error().message()}});
    }
    note_request(context_, "kill", services, connection->peer());
    for (const auto& [id, container] : containers_.all()) {
      const bool meant = services.empty() || std::ranges::find(services, container->record.service) != services.end();
      if (!meant || !container->up()) continue;  // those of run, too
      const auto show = [&](const char* text, const char* status) {
        connection->send({{"event", "progress"},
                          {"kind", "Container"},
                          {"name", container->record.name},
                          {"text", text},
                          {"status", status}});
      };
      show("Killing", "working");
      const auto killed = containers_.kill(*container, *signal);
      show(killed ? "Killed" : "Error", killed ? "done" : "error");
    }
    connection->send({{"event", "result"}, {"ok", true}, {"exit_code", 0}});
  }

  void closed(const ConnectionPtr& connection) {
    watchers_.closed(connection);
    operations_.closed(connection);
    std::erase(waiting_for_rest_, connection);
    look_whether_to_end();
  }

  void look_whether_to_end() {
    if (std::exchange(looking_, true)) return;
    loop_.post([this] {
      looking_ = false;
      answer_rest();
      if (patience_ || containers_.busy() || !operations_.idle() || server_ == nullptr) return;
      if (scheduler_.active()) return;
      const auto closed = server_->close_if_idle();
      if (!closed) log_.write("{}", closed.error().message());
      if (closed && *closed) leave();
    });
  }

  /// Whoever follows what containers write asks whether more may come when none of them runs.
  void answer_rest() {
    if (!operations_.idle() || scheduler_.active()) return;
    for (const ConnectionPtr& connection : std::exchange(waiting_for_rest_, {})) {
      connection->send({{"event", "result"}, {"ok", true}, {"exit_code", 0}});
    }
  }

  void leave() {
    if (const auto flushed = addresses_.flush(); !flushed) log_.write("{}", flushed.error().message());
    server_.reset();
    const auto& paths = options_.paths;
    ::unlink(paths.supervisor_socket(options_.project).c_str());
    if (containers_.all().empty()) Log::remove(paths.supervisor_log(options_.project));
    // Whoever takes the lock of the removed file finds out and takes the new one.
    ::unlink(paths.lock(options_.project).c_str());
    ::rmdir(paths.run_project(options_.project).c_str());
    ::rmdir(paths.run_projects().c_str());
    ::rmdir(paths.run_containers().c_str());
    // A project that was asked about but never had anything leaves nothing.
    ::rmdir(paths.containers(options_.project).c_str());
    ::rmdir(paths.project(options_.project).c_str());
    ::rmdir(paths.projects().c_str());
    loop_.stop();
  }

  SuperviseOptions options_;
  sys::FileLock lock_;
  image::Store images_;
  Log log_;
  RuntimeProgram runtime_;
  async::EventLoop loop_;  // before everything that registers with it
  Context context_;
  UniqueFd signals_;
  async::Watch signal_watch_;
  Addresses addresses_;
  std::unique_ptr<net::firewall::RulesetMonitor> ruleset_;
  Names names_;
  Containers containers_;
  Watchers watchers_;
  Operations operations_;
  Recovery recovery_;
  Scheduler scheduler_;
  std::unique_ptr<ControlServer> server_;
  async::Timer patience_;
  async::Timer trim_;
  bool looking_ = false;
  std::vector<ConnectionPtr> waiting_for_rest_;
};

void block_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  sigaddset(&set, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

Result<std::unique_ptr<Supervisor>> make(const SuperviseOptions& options) {
  auto lock = options.lock_fd >= 0 ? std::optional{sys::FileLock::adopt(UniqueFd{options.lock_fd})} : std::nullopt;
  if (!lock) {
    TRY_ASSIGN(lock, try_project_lock(options.paths, options.project));
  }
  if (!lock) return make_error(Errc::busy, "project \"{}\" has a supervisor already", options.project);
  TRY(sys::make_directories(options.paths.run_project(options.project), 0700));
  TRY_ASSIGN(auto images, image::Store::open(options.paths.root()));
  auto supervisor = std::make_unique<Supervisor>(options, *std::move(lock), std::move(images));
  TRY(supervisor->start());
  return supervisor;
}

}  // namespace

int supervise(const SuperviseOptions& options) {
  // Before the first thread, so that all of them inherit it.
  block_signals();
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  UniqueFd ready{options.ready_fd};
  const auto tell = [&](const std::string& text) {
    if (ready.valid()) [[maybe_unused]]
      const auto told = sys::write_all(ready.get(), text);
    ready.reset();
  };
  auto supervisor = make(options);
  if (!supervisor) {
    Log{options.paths.supervisor_log(options.project)}.write("{}", supervisor.error().message());
    tell(supervisor.error().message());
    return 1;
  }
  tell(kReadyAnswer);
  (*supervisor)->run();
  return 0;
}

}  // namespace compose::supervisor

#include "supervisor/client.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/crash_point.hpp"
#include "supervisor/json_lines.hpp"
#include "supervisor/run_lock.hpp"
#include "sys/file.hpp"
#include "sys/message.hpp"
#include "sys/process.hpp"
#include "sys/program.hpp"

namespace compose::supervisor {

using nlohmann::json;

namespace {

constexpr int kLockFd = 3;
constexpr int kReadyFd = 4;
// A process that died while it held the lock tells nobody: then the lock is looked at again after this time.
constexpr auto kLookAgain = std::chrono::milliseconds{100};
// A supervisor answers within milliseconds; this long only a machine that hardly runs takes.
constexpr auto kStartLimit = std::chrono::seconds{20};

/// Starts a supervisor that inherits the project's lock and waits until it answers.
Result<void> spawn_supervisor(const state::Paths& paths, const std::string& project, const sys::FileLock& lock) {
  TRY_ASSIGN(const std::string program, sys::own_program());
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return os_error("pipe");
  UniqueFd ready{ends[0]};
  UniqueFd theirs{ends[1]};
  TRY_ASSIGN(const UniqueFd null, open_null());
  sys::SpawnOptions options;
  options.program = program;
  options.arguments = supervise_arguments(program, paths, project);
  for (const char* argument : {"--lock-fd", "3", "--ready-fd", "4"}) options.arguments.emplace_back(argument);
  // It must not hold the terminal or a pipe of the command that started it.
  options.fds = {{null.get(), 0}, {null.get(), 1}, {null.get(), 2}, {lock.fd(), kLockFd}, {theirs.get(), kReadyFd}};
  options.new_session = true;
  options.working_directory = "/";
  TRY_ASSIGN(const sys::Child child, sys::spawn(options));
  theirs.reset();
  TRY_ASSIGN(const std::string answer, sys::read_all(ready.get()));
  if (answer == kReadyAnswer) return {};
  // It has failed and ended, or is about to.
  const auto status = sys::wait_child(child.pid);
  if (!answer.empty()) return make_error(Errc::failed, "starting the supervisor: {}", answer);
  return make_error(Errc::failed, "the supervisor ended at its start (exit code {})", status ? status->code : -1);
}

/// Readable when the socket appears or goes.
Result<UniqueFd> watch_run_directory(const std::string& directory) {
  UniqueFd inotify{::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
  if (!inotify.valid()) return os_error("inotify");
  if (::inotify_add_watch(inotify.get(), directory.c_str(), IN_MOVED_TO | IN_DELETE | IN_DELETE_SELF) < 0) {
    return os_error("watching {}", directory);
  }
  return inotify;
}

bool absent(const Error& error) {
  return error.code() == Errc::not_found || error.sys_errno() == ENOENT || error.sys_errno() == ECONNREFUSED;
}

}  // namespace

struct Client::Impl {
  UniqueFd socket;
  JsonLines lines;
};

Client::Client(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Result<Client> Client::connect(const state::Paths& paths, const std::string& project, Spawn spawn) {
  const std::string socket_path = paths.supervisor_socket(project);
  const auto give_up = std::chrono::steady_clock::now() + kStartLimit;
  // Only made when there is somebody to wait for: the kernel takes some 10 ms to close one. It is there before the
  // next attempts, so that whatever changes after them is seen.
  UniqueFd changes;
  for (bool watch = false;;) {
    if (spawn == Spawn::if_absent) TRY(sys::make_directories(paths.run_project(project), 0700));
    if (watch) {
      auto watching = watch_run_directory(paths.run_project(project));
      if (!watching) {
        if (watching.error().sys_errno() == ENOENT) continue;  // the last supervisor is just tidying up
        return std::move(watching).error();
      }
      changes = *std::move(watching);
    }
    auto socket = sys::connect_unix(socket_path, SOCK_STREAM);
    if (socket) return Client{std::make_unique<Impl>(Impl{*std::move(socket), {}})};
    if (!absent(socket.error())) return std::move(socket).error();
    if (spawn == Spawn::never) {
      return make_error(Errc::not_found, "project \"{}\" has no supervisor running", project);
    }
    TRY_ASSIGN(auto lock, try_project_lock(paths, project));
    if (lock) {
      TRY(spawn_supervisor(paths, project, *lock));
      continue;
    }
    // Somebody else is starting one, or the last one is ending.
    if (std::chrono::steady_clock::now() > give_up) {
      return make_error(Errc::timeout, "the supervisor of project \"{}\" holds its lock but does not answer", project);
    }
    if (!std::exchange(watch, true)) continue;
    pollfd poller{changes.get(), POLLIN, 0};
    ::poll(&poller, 1, static_cast<int>(kLookAgain.count()));
  }
}

Result<void> Client::send(const json& request) {
  const std::string line = request.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  crash_point("ask");
  TRY(write_socket(impl_->socket.get(), line).with("asking the supervisor"));
  crash_point("asked");
  return {};
}

int Client::fd() const { return impl_->socket.get(); }

Result<std::optional<json>> Client::receive() {
  for (;;) {
    if (auto line = impl_->lines.next()) {
      json event = json::parse(*line, nullptr, false);
      if (event.is_discarded()) return make_error(Errc::corrupt, "the supervisor sent something that is not JSON");
      return std::optional{std::move(event)};
    }
    TRY_ASSIGN(const auto state, impl_->lines.fill(impl_->socket.get(), MSG_DONTWAIT));
    if (state == JsonLines::State::closed) {
      return make_error(Errc::cancelled, "the supervisor ended before the command was done; run it again");
    }
    if (state == JsonLines::State::nothing) return std::optional<json>{};
  }
}

Result<Outcome> Client::request(const json& request, const std::function<void(const json&)>& on_event) {
  TRY(send(request));
  for (;;) {
    TRY_ASSIGN(const auto event, receive());
    if (!event) {
      pollfd poller{fd(), POLLIN, 0};
      ::poll(&poller, 1, -1);
      continue;
    }
    if (event->value("event", "") == "result") return outcome(*event);
    if (on_event) on_event(*event);
  }
}

Result<void> Client::cancel() { return send(json{{"op", "cancel"}}); }

Outcome Client::outcome(const json& event) {
  Outcome outcome;
  outcome.ok = event.value("ok", false);
  outcome.exit_code = event.value("exit_code", outcome.ok ? 0 : 1);
  outcome.error = event.value("error", "");
  outcome.position = event.value("position", "");
  outcome.json = event.dump();
  return outcome;
}

}  // namespace compose::supervisor

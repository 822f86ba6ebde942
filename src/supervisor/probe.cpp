#include "supervisor/probe.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>

#include "runtime/security/own_program.hpp"
#include "supervisor/orphans.hpp"
#include "supervisor/run_lock.hpp"
#include "sys/file.hpp"
#include "sys/program.hpp"

namespace compose::supervisor {

namespace {

/// The processes below `pid`, from its children on. What runs in a container has a session of its own there, and when
/// its parent is killed it belongs to the container's first process: so it is found before anything is killed.
std::vector<pid_t> descendants(pid_t pid) {
  std::vector<pid_t> found;
  std::vector<pid_t> open{pid};
  while (!open.empty()) {
    const auto children = children_of(open.back());
    open.pop_back();
    found.insert(found.end(), children.begin(), children.end());
    open.insert(open.end(), children.begin(), children.end());
  }
  return found;
}

constexpr int kProgram = 3;  // where the runtime's program is in its process; it closes what it does not know

}  // namespace

Result<int> RuntimeProgram::open() {
  if (!fd_.valid()) {
    TRY_ASSIGN(const std::string path, sys::program_path("compose-runtime"));
    TRY_ASSIGN(fd_, runtime::security::read_only_program(path).with("{}", path));
  }
  return fd_.get();
}

Result<ProbeCommand> exec_command(const Context& context) {
  ProbeCommand command;
  TRY_ASSIGN(command.program, context.runtime.open());
  command.arguments = {"compose-runtime", "--root", context.paths.run_containers(), "exec"};
  return command;
}

Result<std::unique_ptr<Probe>> Probe::start(async::EventLoop& loop, const ProbeCommand& command, OnEnd on_end) {
  std::unique_ptr<Probe> probe{new Probe{command.output_limit, std::move(on_end)}};
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return os_error("pipe");
  probe->output_.reset(ends[0]);
  const UniqueFd theirs{ends[1]};
  TRY_ASSIGN(const UniqueFd null, open_null());
  sys::SpawnOptions options;
  options.program = fmt::format("/proc/self/fd/{}", kProgram);
  options.arguments = command.arguments;
  options.fds = {{null.get(), 0}, {theirs.get(), 1}, {theirs.get(), 2}, {command.program, kProgram}};
  // The group gets killed at the timeout, with what it runs in the container.
  options.new_group = true;
  TRY_ASSIGN(probe->child_, sys::spawn(options));
  Probe* self = probe.get();
  probe->output_watch_ = loop.watch_readable(probe->output_.get(), [self] { self->read(); });
  probe->exit_watch_ = loop.watch_readable(probe->child_.pidfd.get(), [self] { self->ended(); });
  if (command.timeout > Duration::zero()) {
    probe->timer_ = loop.call_after(command.timeout, [self] {
      self->outcome_.timed_out = true;
      self->kill();
    });
  }
  return probe;
}

Probe::~Probe() {
  if (child_.pid <= 0) return;
  kill();
  [[maybe_unused]] const auto reaped = sys::wait_child(child_.pid);
}

void Probe::kill() {
  if (child_.pid <= 0) return;
  const auto below = descendants(child_.pid);
  ::kill(-child_.pid, SIGKILL);
  for (const pid_t pid : below) ::kill(pid, SIGKILL);
}

void Probe::read() {
  std::array<char, 16384> buffer{};
  for (;;) {
    const ssize_t count = retry_eintr([&] { return ::read(output_.get(), buffer.data(), buffer.size()); });
    if (count < 0) return;  // nothing more for now
    if (count == 0) return output_watch_.reset();
    const std::size_t room = limit_ - std::min(limit_, outcome_.output.size());
    outcome_.output.append(buffer.data(), std::min(room, static_cast<std::size_t>(count)));
    if (on_output) on_output({buffer.data(), static_cast<std::size_t>(count)});
  }
}

void Probe::ended() {
  // A child of the probe may hold the pipe for ever: what was written up to its end is all that counts.
  if (output_watch_) read();
  // What it left behind in its group goes with it.
  kill();
  const auto status = sys::wait_child(child_.pid);
  child_.pid = -1;
  outcome_.exit_code = status ? status->code : -1;
  exit_watch_.reset();
  timer_.reset();
  const auto on_end = std::move(on_end_);
  const ProbeOutcome outcome = std::move(outcome_);
  on_end(outcome);
}

}  // namespace compose::supervisor

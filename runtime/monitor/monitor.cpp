#include "runtime/monitor/monitor.hpp"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "runtime/launch/hooks.hpp"
#include "runtime/monitor/files.hpp"
#include "runtime/monitor/monitor_impl.hpp"
#include "sys/file.hpp"
#include "sys/message.hpp"
#include "sys/process.hpp"

namespace compose::runtime::monitor {

namespace {
constexpr int kRemoteGrace = 2000;  // milliseconds for a log service to take the last lines

/// Gives the memory back, too: to assign {} leaves a vector or a string what it has.
template <typename T>
void drop(T& value) {
  [[maybe_unused]] const T last = std::exchange(value, T{});
}
}  // namespace

Event Monitor::event(Event::Kind kind) const {
  Event result;
  result.kind = kind;
  result.pid = pid_;
  result.start_time = start_time_;
  result.at = std::chrono::system_clock::now();
  return result;
}

void Monitor::watch(int fd, std::uint32_t events) {
  epoll_event entry{};
  entry.events = events;
  entry.data.fd = fd;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &entry);
}

void Monitor::rewatch(int fd, std::uint32_t events) {
  epoll_event entry{};
  entry.events = events;
  entry.data.fd = fd;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &entry);
}

Result<launch::Stdio> Monitor::make_pipes(std::array<UniqueFd, 3>& theirs) {
  const auto make = [](UniqueFd& reader, UniqueFd& writer) -> Result<void> {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return os_error("pipe");
    reader.reset(ends[0]);
    writer.reset(ends[1]);
    return {};
  };
  if (request_.open_stdin) {
    TRY(make(theirs[0], input_));
    ::fcntl(input_.get(), F_SETFL, O_NONBLOCK);
  } else {
    theirs[0].reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  }
  for (std::size_t i = 0; i < 2; ++i) {
    TRY(make(streams_[i].fd, theirs[i + 1]));
    ::fcntl(streams_[i].fd.get(), F_SETFL, O_NONBLOCK);
  }
  return launch::Stdio{theirs[0].get(), theirs[1].get(), theirs[2].get()};
}

/// Everything that the container's own process does not need happens after it has been cloned and works by itself.
Result<void> Monitor::start() {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  // Only the kernel's SIGKILL ends a monitor: a host that shuts down sends SIGTERM to everybody at once, and the
  // container's own end would go unrecorded.
  for (const int signo : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2}) ::signal(signo, SIG_IGN);
  sigset_t mask;
  ::sigemptyset(&mask);
  ::sigaddset(&mask, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &mask, nullptr);
  streams_[1].letter = wire::kErrors;
  launch::Options options;
  options.hold = request_.wait_attach || request_.hold;
  std::array<UniqueFd, 3> theirs;
  if (!request_.tty) {
    TRY_ASSIGN(options.stdio, make_pipes(theirs));
  }
  TRY_ASSIGN(launch_, launch::Launch::begin(request_.plan, options));
  for (auto& fd : theirs) fd.reset();
  pid_ = launch_->pid();
  start_time_ = sys::process_start_time(pid_);
  pidfd_ = launch_->take_pidfd();
  if (request_.plan.use_cgroup) group_ = cgroup::Group::open(request_.plan.layout, request_.plan.cgroup.path);
  // Whoever hears of the container may connect at once.
  TRY_ASSIGN(listener_, sys::listen_unix(request_.run_dir + "/monitor.sock", SOCK_SEQPACKET | SOCK_NONBLOCK));
  created_ = event(Event::Kind::created);
  announce(*created_);
  epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  signals_.reset(::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
  timer_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  TRY(log_.open());
  TRY(remote_.open());
  TRY(write_container_state(request_, plan_, pid_, start_time_));
  drop(message_);
  watch(launch_->fd(), EPOLLIN);
  watch(signals_.get(), EPOLLIN);
  watch(timer_.get(), EPOLLIN);
  watch(listener_.get(), EPOLLIN);
  watch(peers_.front().socket.get(), EPOLLIN);
  for (const auto& stream : streams_) {
    if (stream.fd.valid()) watch(stream.fd.get(), EPOLLIN);
  }
  return {};
}

/// The end is known to whom it concerns, and attached clients have all the output.
bool Monitor::finished() const {
  const bool told = heard_ || goodbye_ || (std::ranges::none_of(peers_, &Peer::supervisor) && !respawner_);
  return final_ && told && std::ranges::all_of(peers_, [](const Peer& peer) { return peer.queue.empty(); });
}

int Monitor::run() {
  if (auto done = start(); !done) {
    if (launch_) launch_->abandon();
    launch::Failure failure{done.error().message(), done.error().sys_errno(), 125};
    start_failed(failure);
    if (!epoll_.valid()) return 1;  // the message waits in the socket's buffer
  }
  std::array<epoll_event, 16> events{};
  while (!finished()) {
    const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), rest_left());
    if (count < 0 && errno != EINTR) return 1;
    for (int i = 0; i < count; ++i) {
      const auto& entry = events[static_cast<std::size_t>(i)];
      dispatch(entry.data.fd, entry.events);
    }
    if (resting_ && rest_left() == 0) end_rest();
    watch_remote_log();
  }
  remote_.finish(wall_clock(), kRemoteGrace);
  return 0;
}

void Monitor::dispatch(int fd, std::uint32_t events) {
  if (launch_ && fd == launch_->fd()) return on_launch();
  if (fd == signals_.get()) return on_signal();
  if (fd == timer_.get()) return on_timer();
  if (fd == listener_.get()) return on_connect();
  if (fd == remote_watched_) return on_remote_log();
  if (fd == input_.get() && fd >= 0 && (events & (EPOLLOUT | EPOLLERR)) != 0 && !request_.tty) return write_input();
  for (auto& stream : streams_) {
    if (stream.fd.valid() && fd == stream.fd.get()) {
      if ((events & EPOLLOUT) != 0) write_input();
      if ((events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) on_stream(stream);
      return;
    }
  }
  for (auto peer = peers_.begin(); peer != peers_.end(); ++peer) {
    if (peer->socket.get() == fd) return on_peer(peer, events);
  }
}

void Monitor::on_launch() {
  while (launch_) {
    auto notice = launch_->receive(/*wait=*/false);
    if (!notice) {
      launch_->abandon();
      return start_failed({notice.error().message(), notice.error().sys_errno(), 125});
    }
    if (!*notice) return;
    on_notice(std::move(**notice));
  }
}

void Monitor::on_notice(launch::Notice notice) {
  switch (notice.kind) {
    case launch::Notice::Kind::terminal:
      ::fcntl(notice.terminal.get(), F_SETFL, O_RDWR | O_NONBLOCK);
      terminal_.reset(::fcntl(notice.terminal.get(), F_DUPFD_CLOEXEC, 3));
      if (size_.ws_row != 0) ::ioctl(terminal_.get(), TIOCSWINSZ, &size_);
      streams_[0].fd = std::move(notice.terminal);
      watch(streams_[0].fd.get(), EPOLLIN);
      break;
    case launch::Notice::Kind::resolver:
      resolver_ = std::move(notice.resolver);
      break;
    case launch::Notice::Kind::ready:
      held_ = true;
      release_if_due();
      break;
    case launch::Notice::Kind::running:
      launch_.reset();
      started();
      break;
    case launch::Notice::Kind::failed:
      launch_->abandon();
      launch_.reset();
      start_failed(notice.failure);
      break;
  }
}

/// The container waits for nobody any more.
void Monitor::release_if_due() {
  const bool attached = std::ranges::any_of(peers_, &Peer::attached);
  if (!held_ || (request_.hold && !may_run_) || (request_.wait_attach && !attached)) return;
  held_ = false;
  if (launch_) (void)launch_->release();
}

void Monitor::started() {
  running_ = true;
  started_at_ = wall_clock();
  started_ = event(Event::Kind::started);
  announce(*started_);
  if (!request_.plan.poststart.empty()) {
    (void)launch::run_hooks(request_.plan.poststart, launch::state_json(request_.plan, "running", pid_), "poststart");
  }
  // From here on the plan is ballast, but for what is needed to clean up.
  drop(request_.plan.process);
  drop(request_.plan.steps);
  drop(request_.plan.cgroup.settings);
  drop(request_.plan.attachments);
  ::malloc_trim(0);
  // It may have ended already, and its signal may have been the first of the two events that we heard of.
  reap();
}

/// Before the last event goes out: whoever hears it may start the container again.
void Monitor::remove_run_files() {
  for (const char* name : {"/monitor.sock", "/state.json", "/plan.bin"}) ::unlink((request_.run_dir + name).c_str());
}

void Monitor::start_failed(const launch::Failure& failure) {
  launch_.reset();
  remove_run_files();
  final_ = event(Event::Kind::failed);
  final_->message = failure.message;
  final_->sys_errno = failure.sys_errno;
  final_->exit_code_hint = failure.exit_code;
  announce(*final_);
}

/// SIGCHLD: the container, a respawned supervisor, or orphans of a container without a pid namespace of its own.
void Monitor::on_signal() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
  }
  reap();
}

void Monitor::reap() {
  int status = 0;
  pid_t pid = 0;
  // The container's process is left to the launch as long as that is under way: it knows why it ended.
  while (!launch_ && (pid = ::waitpid(-1, &status, WNOHANG)) > 0) {
    if (pid == pid_ && running_) on_exit(status);
  }
}

void Monitor::on_exit(int status) {
  const timespec finished = wall_clock();
  running_ = false;
  final_ = event(Event::Kind::exited);
  final_->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  final_->exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  if (group_) {
    final_->oom_killed = group_->oom_kills() > 0;
    (void)group_->kill_all();
    (void)group_->wait_empty(5000);
  }
  // Everybody who could write is gone now; what they wrote comes before the exit in the log.
  for (auto& stream : streams_) {
    while (stream.fd.valid() && read_stream(stream) != 0) {
    }
  }
  log_.finish(wall_clock());
  if (group_) (void)group_->remove();
  if (!request_.plan.poststop.empty()) {
    (void)launch::run_hooks(request_.plan.poststop, launch::state_json(request_.plan, "stopped", 0), "poststop");
  }
  if (auto written = write_exit_record(request_, *final_, started_at_, finished); !written) {
    final_->message = written.error().message();
  }
  remove_run_files();
  announce(*final_);
  for (auto& peer : peers_) flush(peer);
}

void Monitor::supervisor_gone() {
  if (!respawner_) respawner_.emplace(request_.respawn_argv, request_.project_lock_path);
  if (!respawner_->lost(timer_.get())) respawner_.reset();
}

void Monitor::on_timer() {
  std::uint64_t expirations = 0;
  (void)!::read(timer_.get(), &expirations, sizeof expirations);
  if (!respawner_ || supervisor() != nullptr) return;
  // Once the container has ended, a supervisor that lives is enough: exit.json tells it the rest.
  if (!respawner_->try_respawn(timer_.get()) || final_) respawner_.reset();
}

int run_monitor(UniqueFd request, UniqueFd supervisor) {
  // The buffers for output get pages of their own, which a quiet container never touches; on the heap they would keep
  // those that the request was read into.
  ::mallopt(M_MMAP_THRESHOLD, kChunk);
  std::string bytes;
  if (auto text = sys::read_all(request.get())) bytes = std::move(*text);
  std::string_view plan;
  auto parsed = deserialize(bytes, &plan);
  if (!parsed) {
    Event failed;
    failed.kind = Event::Kind::failed;
    failed.message = parsed.error().message();
    failed.exit_code_hint = 125;
    (void)sys::send_message(supervisor.get(), wire::encode(failed));
    return 1;
  }
  request.reset();
  return std::make_unique<Monitor>(std::move(*parsed), std::move(bytes), plan, std::move(supervisor))->run();
}

}  // namespace compose::runtime::monitor

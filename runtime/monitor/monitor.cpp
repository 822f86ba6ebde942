#include "runtime/monitor/monitor.hpp"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <list>
#include <memory>

#include "runtime/launch/hooks.hpp"
#include "runtime/launch/launch.hpp"
#include "runtime/launch/sync.hpp"
#include "runtime/monitor/files.hpp"
#include "runtime/monitor/input_queue.hpp"
#include "runtime/monitor/log_writer.hpp"
#include "runtime/monitor/request.hpp"
#include "runtime/monitor/respawn.hpp"
#include "runtime/monitor/wire.hpp"
#include "sys/file.hpp"
#include "sys/message.hpp"
#include "sys/process.hpp"

namespace compose::runtime::monitor {
namespace {

constexpr std::size_t kChunk = 8192;
constexpr std::size_t kQueueLimit = std::size_t{256} << 10;

timespec wall_clock() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now;
}

/// Somebody connected to monitor.sock, or the supervisor that spawned us.
struct Peer {
  explicit Peer(UniqueFd fd) : socket{std::move(fd)} {}
  UniqueFd socket;
  bool supervisor = false;
  bool attached = false;
  std::list<std::string> queue;  ///< output that its socket did not take yet
  std::size_t queued = 0;
};

/// One output of the container.
struct Stream {
  UniqueFd fd;
  const char* name = "stdout";
  char letter = wire::kOutput;
};

class Monitor {
 public:
  Monitor(Request request, UniqueFd supervisor) : request_{std::move(request)}, log_{make_log(request_)} {
    peers_.emplace_back(std::move(supervisor));
    peers_.back().supervisor = true;
  }
  int run();

 private:
  static LogWriter make_log(const Request& r) { return {r.log_path, r.log_max_size, r.log_max_files}; }

  // Start.
  Result<void> start();
  bool finished() const;
  Result<launch::Stdio> make_pipes(std::array<UniqueFd, 3>& theirs);
  void on_launch();
  void on_notice(launch::Notice notice);
  void started();
  void release();
  void start_failed(const launch::Failure& failure);
  void remove_run_files();

  // Loop.
  void watch(int fd, std::uint32_t events);
  void rewatch(int fd, std::uint32_t events);
  void dispatch(int fd, std::uint32_t events);
  void on_signal();
  void on_exit(int status);
  void on_stream(Stream& stream);
  bool read_stream(Stream& stream);
  void close_stream(Stream& stream);
  void on_timer();

  // Peers.
  void on_connect();
  void on_peer(std::list<Peer>::iterator peer, std::uint32_t events);
  void on_message(Peer& peer, std::string_view message);
  void drop_peer(std::list<Peer>::iterator peer);
  void send_event(const Event& event, Peer& peer);
  void announce(const Event& event);
  void send_present_state(Peer& peer);
  void deliver(char letter, std::string_view bytes);
  void flush(Peer& peer);
  bool output_blocked() const;
  void update_streams();
  Peer* supervisor();
  void supervisor_gone();
  void write_input();
  std::uint32_t peer_events(const Peer& peer) const;
  std::uint32_t stream_events() const;
  void resize(std::uint16_t rows, std::uint16_t columns);

  Event event(Event::Kind kind) const;

  Request request_;
  LogWriter log_;
  UniqueFd epoll_, listener_, signals_, timer_;
  std::list<Peer> peers_;
  std::optional<launch::Launch> launch_;
  std::array<Stream, 2> streams_;
  UniqueFd terminal_;  ///< for resizing; its reading end is streams_[0]
  winsize size_{};
  UniqueFd input_;
  InputQueue input_queue_;
  bool input_ends_ = false;
  net::endpoint::ResolverSockets resolver_;
  std::optional<cgroup::Group> group_;
  std::optional<Respawner> respawner_;
  pid_t pid_ = 0;
  UniqueFd pidfd_;
  std::uint64_t start_time_ = 0;
  timespec started_at_{};
  std::optional<Event> created_, started_, final_;
  bool running_ = false;
  bool held_ = false;  ///< the container is set up and waits for somebody to attach
  bool goodbye_ = false;
  bool heard_ = false;
  bool paused_streams_ = false;
  std::array<char, kChunk> buffer_{};
};

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
  streams_[1].name = "stderr";
  streams_[1].letter = wire::kErrors;
  launch::Options options;
  options.hold = request_.wait_attach;
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
  TRY(write_container_state(request_, pid_, start_time_));
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
    const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), -1);
    if (count < 0 && errno != EINTR) return 1;
    for (int i = 0; i < count; ++i) {
      const auto& entry = events[static_cast<std::size_t>(i)];
      dispatch(entry.data.fd, entry.events);
    }
  }
  return 0;
}

void Monitor::dispatch(int fd, std::uint32_t events) {
  if (launch_ && fd == launch_->fd()) return on_launch();
  if (fd == signals_.get()) return on_signal();
  if (fd == timer_.get()) return on_timer();
  if (fd == listener_.get()) return on_connect();
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
      if (std::ranges::any_of(peers_, &Peer::attached)) release();
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

void Monitor::release() {
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
  request_.plan.process = {};
  request_.plan.steps = {};
  request_.plan.cgroup.settings = {};
  request_.plan.attachments = {};
  ::malloc_trim(0);
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
    while (stream.fd.valid() && read_stream(stream)) {
    }
  }
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

/// Reads one piece; false when there is none at present (or ever).
bool Monitor::read_stream(Stream& stream) {
  const ssize_t size = retry_eintr([&] { return ::read(stream.fd.get(), buffer_.data(), buffer_.size()); });
  if (size < 0 && errno == EAGAIN) return false;
  if (size <= 0) {  // EIO: the terminal's last user has closed it
    close_stream(stream);
    return false;
  }
  const std::string_view bytes{buffer_.data(), static_cast<std::size_t>(size)};
  log_.write(stream.name, bytes, wall_clock());
  deliver(stream.letter, bytes);
  return true;
}

void Monitor::on_stream(Stream& stream) {
  read_stream(stream);
  update_streams();
}

void Monitor::close_stream(Stream& stream) {
  // A terminal reports EIO also while its first user has not opened it yet, and between two users.
  if (request_.tty && (running_ || launch_)) {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, stream.fd.get(), nullptr);
    return;
  }
  stream.fd.reset();
  if (!streams_[0].fd.valid() && !streams_[1].fd.valid()) announce(event(Event::Kind::stream_closed));
}

void Monitor::deliver(char letter, std::string_view bytes) {
  for (auto& peer : peers_) {
    if (!peer.attached) continue;
    peer.queue.push_back(letter + std::string{bytes});
    peer.queued += bytes.size();
    flush(peer);
  }
}

void Monitor::flush(Peer& peer) {
  while (!peer.queue.empty()) {
    const std::string& piece = peer.queue.front();
    const ssize_t sent = ::send(peer.socket.get(), piece.data(), piece.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) break;
    if (sent < 0) {
      peer.queue.clear();  // its end of the connection tells the rest
      peer.queued = 0;
      break;
    }
    peer.queued -= piece.size() - 1;
    peer.queue.pop_front();
  }
  rewatch(peer.socket.get(), peer_events(peer));
}

bool Monitor::output_blocked() const {
  return std::ranges::any_of(peers_, [](const Peer& peer) { return peer.queued > kQueueLimit; });
}

/// An attached client that does not read makes the container wait, as a terminal would; nothing is lost.
void Monitor::update_streams() {
  const bool blocked = output_blocked();
  if (blocked == paused_streams_) return;
  paused_streams_ = blocked;
  for (const auto& stream : streams_) {
    if (stream.fd.valid()) rewatch(stream.fd.get(), stream_events());
  }
}

void Monitor::on_connect() {
  UniqueFd socket{::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
  if (!socket.valid()) return;
  auto uid = sys::peer_uid(socket.get());
  if (!uid || (*uid != ::geteuid() && *uid != 0)) return;
  watch(socket.get(), EPOLLIN);
  peers_.emplace_back(std::move(socket));
}

void Monitor::on_peer(std::list<Peer>::iterator peer, std::uint32_t events) {
  if ((events & EPOLLOUT) != 0) {
    flush(*peer);
    update_streams();
  }
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
  auto message = launch::sync::receive(peer->socket.get(), wire::kMaxMessage);
  if (!message || message->data.empty()) return drop_peer(peer);
  on_message(*peer, message->data);
}

void Monitor::on_message(Peer& peer, std::string_view message) {
  const auto numbers = wire::decode_numbers(message);
  switch (message[0]) {
    case wire::kSupervise:
      for (auto& other : peers_) other.supervisor = false;
      peer.supervisor = true;
      goodbye_ = false;
      send_present_state(peer);
      break;
    case wire::kAttach:
      peer.attached = true;
      send_present_state(peer);
      if (held_) release();
      break;
    case wire::kSignal:
      if (numbers && pid_ != 0) {
        // Until its program runs, pid 1 is our own code and deaf to everything but SIGKILL.
        const int signo = static_cast<int>(numbers->first);
        const bool ends = signo == SIGTERM || signo == SIGINT || signo == SIGQUIT;
        (void)sys::send_signal(pidfd_.get(), launch_ && ends ? SIGKILL : signo);
      }
      break;
    case wire::kKillAll:
      if (group_) (void)group_->kill_all();
      if (pid_ != 0) (void)sys::send_signal(pidfd_.get(), SIGKILL);
      break;
    case wire::kResize:
      if (numbers) resize(static_cast<std::uint16_t>(numbers->first), static_cast<std::uint16_t>(numbers->second));
      break;
    case wire::kGoodbye:
      goodbye_ = true;
      break;
    case wire::kAck:
      heard_ = heard_ || (peer.supervisor && final_.has_value());
      break;
    case wire::kInput:
      input_queue_.add(message.substr(1));
      write_input();
      rewatch(peer.socket.get(), peer_events(peer));
      break;
    case wire::kEndInput:
      input_ends_ = true;
      write_input();
      break;
    case wire::kReopenLog:
      (void)log_.open();
      break;
    default:
      break;
  }
}

void Monitor::resize(std::uint16_t rows, std::uint16_t columns) {
  size_ = {rows, columns, 0, 0};  // kept for a terminal that is yet to come
  if (terminal_.valid()) ::ioctl(terminal_.get(), TIOCSWINSZ, &size_);
}

/// What of the queue the container takes now; for the rest epoll says when, and meanwhile the senders wait.
void Monitor::write_input() {
  const int fd = request_.tty ? terminal_.get() : input_.get();
  if (fd < 0) return input_queue_.clear();
  const bool was_full = input_queue_.full();
  if (!input_queue_.drain(fd)) {
    input_queue_.clear();
    input_ends_ = true;
  }
  if (was_full != input_queue_.full()) {
    for (const auto& peer : peers_) rewatch(peer.socket.get(), peer_events(peer));
  }
  if (request_.tty) {
    if (streams_[0].fd.valid()) rewatch(streams_[0].fd.get(), stream_events());
    return;
  }
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  if (!input_queue_.empty()) {
    watch(fd, EPOLLOUT);
  } else if (input_ends_) {
    input_.reset();
  }
}

std::uint32_t Monitor::peer_events(const Peer& peer) const {
  std::uint32_t events = 0;
  if (!peer.attached || !input_queue_.full()) events |= EPOLLIN;
  if (!peer.queue.empty()) events |= EPOLLOUT;
  return events;
}

std::uint32_t Monitor::stream_events() const {
  std::uint32_t events = 0;
  if (!paused_streams_) events |= EPOLLIN;
  if (request_.tty && !input_queue_.empty()) events |= EPOLLOUT;
  return events;
}

void Monitor::drop_peer(std::list<Peer>::iterator peer) {
  const bool was_supervisor = peer->supervisor;
  peers_.erase(peer);
  update_streams();
  if (was_supervisor && !goodbye_) supervisor_gone();
}

Peer* Monitor::supervisor() {
  for (auto& peer : peers_) {
    if (peer.supervisor) return &peer;
  }
  return nullptr;
}

void Monitor::send_event(const Event& event, Peer& peer) {
  std::array<int, 2> fds{resolver_.udp.get(), resolver_.tcp.get()};
  const bool with_sockets = event.kind == Event::Kind::started && peer.supervisor && fds[0] >= 0 && fds[1] >= 0;
  (void)sys::send_message(peer.socket.get(), wire::encode(event),
                          with_sockets ? std::span<const int>{fds} : std::span<const int>{});
}

void Monitor::announce(const Event& event) {
  for (auto& peer : peers_) {
    if (peer.supervisor) send_event(event, peer);
    if (peer.attached && !peer.supervisor) {
      peer.queue.push_back(wire::encode(event));
      peer.queued += peer.queue.back().size() - 1;
      flush(peer);
    }
  }
}

void Monitor::send_present_state(Peer& peer) {
  if (created_ && !started_ && !final_) send_event(*created_, peer);
  if (started_) send_event(*started_, peer);
  if (final_) send_event(*final_, peer);
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

}  // namespace

int run_monitor(UniqueFd request, UniqueFd supervisor) {
  std::string bytes;
  if (auto text = sys::read_all(request.get())) bytes = std::move(*text);
  auto parsed = deserialize(bytes);
  if (!parsed) {
    Event failed;
    failed.kind = Event::Kind::failed;
    failed.message = parsed.error().message();
    failed.exit_code_hint = 125;
    (void)sys::send_message(supervisor.get(), wire::encode(failed));
    return 1;
  }
  bytes = {};
  request.reset();
  return std::make_unique<Monitor>(std::move(*parsed), std::move(supervisor))->run();
}

}  // namespace compose::runtime::monitor

// What the container writes, and what it is given to read.
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "runtime/monitor/monitor_impl.hpp"

namespace compose::runtime::monitor {
namespace {

constexpr std::size_t kQueueLimit = std::size_t{256} << 10;
constexpr std::size_t kSmall = 4096;
constexpr int kManySmall = 16;
constexpr std::int64_t kSoon = 200'000;  // nanoseconds
constexpr std::int64_t kRest = 1'000'000;

std::int64_t monotonic() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

/// Reads one piece; 0 when there is none at present (or ever).
std::size_t Monitor::read_stream(Stream& stream) {
  const ssize_t size = retry_eintr([&] { return ::read(stream.fd.get(), buffer_.get(), kChunk); });
  if (size < 0 && errno == EAGAIN) return 0;
  if (size <= 0) {  // EIO: the terminal's last user has closed it
    close_stream(stream);
    return 0;
  }
  const std::string_view bytes{buffer_.get(), static_cast<std::size_t>(size)};
  const timespec now = wall_clock();
  const bool to_stderr = stream.letter == wire::kErrors;
  log_.write(to_stderr, bytes, now);
  remote_.write(to_stderr, bytes, now);
  deliver(stream.letter, bytes);
  return bytes.size();
}

void Monitor::on_stream(Stream& stream) {
  note_pace(read_stream(stream));
  update_streams();
}

/// Many small pieces right after each other cost a wake-up each: better to come by now and then.
void Monitor::note_pace(std::size_t size) {
  const std::int64_t now = monotonic();
  const bool small = size != 0 && size < kSmall && now - last_read_ < kSoon;
  last_read_ = now;
  small_reads_ = small ? small_reads_ + 1 : 0;
  if (small_reads_ < kManySmall || resting_) return;
  resting_ = true;
  rest_ends_ = now + kRest;
  rewatch_streams();
}

/// Milliseconds for epoll_wait.
int Monitor::rest_left() const {
  if (!resting_) return -1;
  const std::int64_t left = rest_ends_ - monotonic();
  return left <= 0 ? 0 : static_cast<int>((left + 999'999) / 1'000'000);
}

void Monitor::end_rest() {
  std::size_t most = 0;
  for (auto& stream : streams_) {
    if (stream.fd.valid() && !paused_streams_) most = std::max(most, read_stream(stream));
  }
  update_streams();
  last_read_ = monotonic();
  // Little: it is quiet again. Much: the pipe may be full before the next look.
  if (most >= kSmall / 4 && most < kChunk / 2) {
    rest_ends_ = last_read_ + kRest;
    return;
  }
  resting_ = false;
  small_reads_ = 0;
  rewatch_streams();
}

void Monitor::rewatch_streams() {
  for (const auto& stream : streams_) {
    if (stream.fd.valid()) rewatch(stream.fd.get(), stream_events());
  }
}

void Monitor::on_remote_log() {
  remote_.flush();
  update_streams();
}

/// Its socket changes when the service is restarted.
void Monitor::watch_remote_log() {
  const int fd = remote_.waits() ? remote_.fd() : -1;
  if (fd == remote_watched_) return;
  if (remote_watched_ >= 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, remote_watched_, nullptr);
  if (fd >= 0) watch(fd, EPOLLOUT);
  remote_watched_ = fd;
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

bool Monitor::output_blocked() const {
  return remote_.blocks() || std::ranges::any_of(peers_, [](const Peer& peer) { return peer.queued > kQueueLimit; });
}

/// An attached client that does not read makes the container wait, as a terminal would; nothing is lost.
void Monitor::update_streams() {
  const bool blocked = output_blocked();
  if (blocked == paused_streams_) return;
  paused_streams_ = blocked;
  rewatch_streams();
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

std::uint32_t Monitor::stream_events() const {
  std::uint32_t events = 0;
  if (!paused_streams_ && !resting_) events |= EPOLLIN;
  if (request_.tty && !input_queue_.empty()) events |= EPOLLOUT;
  return events;
}

void Monitor::resize(std::uint16_t rows, std::uint16_t columns) {
  size_ = {rows, columns, 0, 0};  // kept for a terminal that is yet to come
  if (terminal_.valid()) ::ioctl(terminal_.get(), TIOCSWINSZ, &size_);
}

}  // namespace compose::runtime::monitor

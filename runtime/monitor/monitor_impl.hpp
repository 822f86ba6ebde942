#pragma once
// The monitor itself. One loop, one thread; its members stand in three files: monitor.cpp (the container's life),
// monitor_output.cpp (what the container writes and reads), monitor_peers.cpp (supervisors and attached clients).
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include <array>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/launch/launch.hpp"
#include "runtime/monitor/input_queue.hpp"
#include "runtime/monitor/log_remote.hpp"
#include "runtime/monitor/log_writer.hpp"
#include "runtime/monitor/request.hpp"
#include "runtime/monitor/respawn.hpp"
#include "runtime/monitor/wire.hpp"

namespace compose::runtime::monitor {

/// As much as a pipe holds. Its pages are touched only by containers that write a lot.
inline constexpr std::size_t kChunk = std::size_t{64} << 10;

inline timespec wall_clock() {
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
  char letter = wire::kOutput;
};

class Monitor {
 public:
  /// `plan`: request.plan as it was sent, a part of `message`.
  Monitor(Request request, std::string message, std::string_view plan, UniqueFd supervisor)
      : request_{std::move(request)},
        message_{std::move(message)},
        plan_{plan},
        log_{request_.log},
        remote_{request_.remote_log} {
    peers_.emplace_back(std::move(supervisor));
    peers_.back().supervisor = true;
  }
  int run();

 private:
  // Start.
  Result<void> start();
  bool finished() const;
  Result<launch::Stdio> make_pipes(std::array<UniqueFd, 3>& theirs);
  void on_launch();
  void on_notice(launch::Notice notice);
  void started();
  void release_if_due();
  void start_failed(const launch::Failure& failure);
  void remove_run_files();

  // Loop.
  void watch(int fd, std::uint32_t events);
  void rewatch(int fd, std::uint32_t events);
  void dispatch(int fd, std::uint32_t events);
  void on_signal();
  void reap();
  void on_exit(int status);
  void on_stream(Stream& stream);
  std::size_t read_stream(Stream& stream);
  void note_pace(std::size_t size);
  int rest_left() const;
  void end_rest();
  void on_remote_log();
  void watch_remote_log();
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
  void rewatch_streams();
  Peer* supervisor();
  void supervisor_gone();
  void write_input();
  std::uint32_t peer_events(const Peer& peer) const;
  std::uint32_t stream_events() const;
  void resize(std::uint16_t rows, std::uint16_t columns);

  Event event(Event::Kind kind) const;

  Request request_;
  std::string message_;    ///< until the plan has been written for others
  std::string_view plan_;  ///< in it
  LogWriter log_;
  RemoteLog remote_;
  int remote_watched_ = -1;  ///< its socket, while epoll watches it
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
  bool held_ = false;     ///< the container is set up and waits to be allowed to run
  bool may_run_ = false;  ///< Request::hold is over
  bool goodbye_ = false;
  bool heard_ = false;
  bool paused_streams_ = false;
  // A container that writes many small pieces is read once a millisecond: until then they gather in the pipe.
  bool resting_ = false;
  int small_reads_ = 0;
  std::int64_t last_read_ = 0, rest_ends_ = 0;  ///< nanoseconds of the monotonic clock
  std::unique_ptr<char[]> buffer_{new char[kChunk]};
};

}  // namespace compose::runtime::monitor

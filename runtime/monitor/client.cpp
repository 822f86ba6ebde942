#include "runtime/monitor/client.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "runtime/launch/sync.hpp"
#include "runtime/monitor/wire.hpp"
#include "runtime/security/own_program.hpp"
#include "sys/file.hpp"
#include "sys/message.hpp"
#include "sys/process.hpp"
#include "sys/program.hpp"

namespace compose::runtime::monitor {

struct Client::State {
  UniqueFd socket;
  pid_t monitor = 0;  ///< 0: not our child
  std::optional<net::endpoint::ResolverSockets> resolver;
  bool over = false;

  /// The monitor may be our child; it ends right after its last word.
  void reap() {
    if (monitor == 0) return;
    auto status = sys::try_wait_child(monitor);
    if (!status || *status) monitor = 0;
  }
};

Client::Client(std::unique_ptr<State> state) : state_{std::move(state)} {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() {
  if (state_) state_->reap();
}
int Client::fd() const { return state_->socket.get(); }

Result<Client> Client::spawn(const Request& request) {
  TRY_ASSIGN(const std::string program, sys::program_path("compose-monitor"));
  TRY_ASSIGN(const UniqueFd sealed, security::read_only_program(program));
  TRY_ASSIGN(const UniqueFd memory, sys::memfd_from("request", serialize(request)));
  TRY_ASSIGN(auto pair, sys::seqpacket_pair());
  const UniqueFd null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
  if (!null.valid()) return os_error("open /dev/null");
  sys::SpawnOptions options;
  options.program = "/proc/self/fd/5";
  options.arguments = {"compose-monitor", request.project, request.container_id.substr(0, 12)};
  options.fds = {{null.get(), 0},   {null.get(), 1},        {null.get(), 2},
                 {memory.get(), 3}, {pair.second.get(), 4}, {sealed.get(), 5}};
  options.new_session = true;
  options.working_directory = "/";
  TRY_ASSIGN(const sys::Child child, sys::spawn(options).with("start {}", program));
  auto state = std::make_unique<State>();
  state->socket = std::move(pair.first);
  state->monitor = child.pid;
  return Client{std::move(state)};
}

Result<Client> Client::connect(const std::string& monitor_sock) {
  auto socket = sys::connect_unix(monitor_sock, SOCK_SEQPACKET);
  if (!socket) {
    const int code = socket.error().sys_errno();
    if (code != ECONNREFUSED && code != ENOENT) return std::move(socket).error();
    return Error{Errc::not_found, fmt::format("no monitor listens at {}", monitor_sock), code};
  }
  auto state = std::make_unique<State>();
  state->socket = std::move(*socket);
  TRY(sys::send_message(state->socket.get(), std::string(1, wire::kSupervise)));
  return Client{std::move(state)};
}

Result<std::optional<Event>> Client::receive() {
  State& s = *state_;
  for (;;) {
    if (s.over) return std::optional<Event>{};
    pollfd poll{s.socket.get(), POLLIN, 0};
    if (retry_eintr([&] { return ::poll(&poll, 1, 0); }) == 0) return std::optional<Event>{};
    auto message = launch::sync::receive(s.socket.get(), wire::kMaxMessage);
    if (!message || message->data.empty()) {
      s.over = true;
      // Its socket closes as it ends, so this waits for microseconds and leaves no zombie.
      if (s.monitor != 0) (void)sys::wait_child(std::exchange(s.monitor, 0));
      Event lost;
      lost.kind = Event::Kind::lost;
      lost.at = std::chrono::system_clock::now();
      return std::optional<Event>{lost};
    }
    if (message->data[0] != wire::kEvent) continue;
    TRY_ASSIGN(Event event, wire::decode_event(message->data));
    if (event.kind == Event::Kind::started && message->fds.size() == 2) {
      s.resolver.emplace(net::endpoint::ResolverSockets{std::move(message->fds[0]), std::move(message->fds[1])});
    }
    if (event.kind == Event::Kind::exited || event.kind == Event::Kind::failed) {
      // The monitor leaves when it knows that the news has arrived.
      (void)sys::send_message(s.socket.get(), std::string(1, wire::kAck));
    }
    return std::optional<Event>{std::move(event)};
  }
}

Result<void> Client::signal(int signo) {
  return sys::send_message(state_->socket.get(),
                           wire::encode_numbers(wire::kSignal, static_cast<std::uint64_t>(signo)));
}
Result<void> Client::kill_all() { return sys::send_message(state_->socket.get(), std::string(1, wire::kKillAll)); }
Result<void> Client::run() { return sys::send_message(state_->socket.get(), std::string(1, wire::kRun)); }
Result<void> Client::resize(std::uint16_t rows, std::uint16_t columns) {
  return sys::send_message(state_->socket.get(), wire::encode_numbers(wire::kResize, rows, columns));
}
Result<void> Client::goodbye() { return sys::send_message(state_->socket.get(), std::string(1, wire::kGoodbye)); }
Result<void> Client::reopen_log() { return sys::send_message(state_->socket.get(), std::string(1, wire::kReopenLog)); }

std::optional<net::endpoint::ResolverSockets> Client::take_resolver_sockets() {
  return std::exchange(state_->resolver, std::nullopt);
}

}  // namespace compose::runtime::monitor

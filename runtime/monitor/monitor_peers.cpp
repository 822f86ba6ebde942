// Supervisors and attached clients at the monitor's socket.
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "runtime/launch/sync.hpp"
#include "runtime/monitor/monitor_impl.hpp"
#include "sys/message.hpp"
#include "sys/process.hpp"

namespace compose::runtime::monitor {

void Monitor::deliver(char letter, std::string_view bytes) {
  for (auto& peer : peers_) {
    if (!peer.attached) continue;
    for (std::string_view rest = bytes; !rest.empty();) {
      const std::string_view piece = rest.substr(0, wire::kMaxMessage / 2);
      rest.remove_prefix(piece.size());
      peer.queue.push_back(letter + std::string{piece});
      peer.queued += piece.size();
    }
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
      release_if_due();
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
    case wire::kRun:
      may_run_ = true;
      release_if_due();
      break;
    case wire::kReopenLog:
      (void)log_.open();
      break;
    default:
      break;
  }
}

std::uint32_t Monitor::peer_events(const Peer& peer) const {
  std::uint32_t events = 0;
  if (!peer.attached || !input_queue_.full()) events |= EPOLLIN;
  if (!peer.queue.empty()) events |= EPOLLOUT;
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

}  // namespace compose::runtime::monitor

#include "cli/monitor_attach.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <optional>

#include "cli/session.hpp"
#include "cli/terminal_proxy.hpp"
#include "runtime/monitor/wire.hpp"
#include "sys/file.hpp"
#include "sys/message.hpp"

namespace compose::cli {
namespace {

namespace wire = runtime::monitor::wire;

class Attachment {
 public:
  Attachment(UniqueFd socket, Signals signals, std::optional<RawMode> raw, const AttachSettings& settings)
      : socket_{std::move(socket)},
        signals_{std::move(signals)},
        raw_{std::move(raw)},
        settings_{settings},
        keys_{settings.terminal ? settings.detach_keys : std::string{}},
        input_open_{settings.input} {}

  Result<AttachEnd> run() {
    if (settings_.terminal) TRY(send_size());
    while (true) {
      // No more is read from our input than the container takes.
      pollfd polled[] = {{socket_.get(), static_cast<short>(pending_.empty() ? POLLIN : POLLIN | POLLOUT), 0},
                         {input_open_ && pending_.empty() ? STDIN_FILENO : -1, POLLIN, 0},
                         {signals_.fd(), POLLIN, 0},
                         {settings_.other_fd, POLLIN, 0}};
      if (::poll(polled, std::size(polled), -1) < 0 && errno != EINTR) return os_error("waiting for the container");
      while (const int signal = signals_.next()) TRY(heard(signal));
      if ((polled[0].revents & POLLOUT) != 0) TRY(send_pending());
      if ((polled[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
        TRY_ASSIGN(const bool more, receive());
        if (!more) return AttachEnd::ended;
      }
      if ((polled[1].revents & (POLLIN | POLLHUP)) != 0) TRY(read_input());
      if (detached_) return AttachEnd::detached;
      if (interrupted_) return AttachEnd::interrupted;
      if (polled[3].revents != 0 && settings_.on_other) TRY(settings_.on_other());
    }
  }

 private:
  /// One message of output; false when the monitor has closed.
  Result<bool> receive() {
    auto message = sys::receive_message(socket_.get(), wire::kMaxMessage);
    if (!message) {
      if (message.error().code() == Errc::busy) return true;
      if (message.error().sys_errno() == ECONNRESET) return false;
      return std::move(message).error();
    }
    if (message->data.empty()) return false;
    const std::string_view bytes = std::string_view{message->data}.substr(1);
    if (message->data[0] == wire::kOutput) TRY(sys::write_all(STDOUT_FILENO, bytes));
    if (message->data[0] == wire::kErrors) TRY(sys::write_all(STDERR_FILENO, bytes));
    return true;
  }

  Result<void> read_input() {
    std::array<char, wire::kMaxMessage - 1> buffer;  // one message with its letter
    const ssize_t size = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (size < 0 && (errno == EINTR || errno == EAGAIN)) return {};
    if (size <= 0) {
      input_open_ = false;
      pending_ = std::string{wire::kEndInput};
    } else {
      const std::string typed = keys_.feed({buffer.data(), static_cast<std::size_t>(size)}, detached_);
      if (!typed.empty()) pending_ = wire::kInput + typed;
    }
    return send_pending();
  }

  Result<void> send_pending() {
    if (pending_.empty()) return {};
    const ssize_t sent = ::send(socket_.get(), pending_.data(), pending_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)) return {};
    pending_.clear();
    if (sent < 0) input_open_ = false;  // the end comes as a closed socket
    return {};
  }

  Result<void> heard(int signal) {
    if (signal == SIGWINCH) return settings_.terminal ? send_size() : Result<void>{};
    if (!settings_.forward_signals) {
      interrupted_ = true;
      return {};
    }
    return send(wire::encode_numbers(wire::kSignal, static_cast<std::uint64_t>(signal)));
  }

  Result<void> send_size() {
    const TerminalSize size = terminal_size(STDIN_FILENO);
    if (size.rows <= 0 || size.columns <= 0) return {};
    return send(wire::encode_numbers(wire::kResize, static_cast<std::uint64_t>(size.rows),
                                     static_cast<std::uint64_t>(size.columns)));
  }

  Result<void> send(const std::string& message) {
    auto sent = sys::send_message(socket_.get(), message);
    if (!sent && sent.error().sys_errno() == EPIPE) return {};
    return sent;
  }

  UniqueFd socket_;
  Signals signals_;
  std::optional<RawMode> raw_;
  const AttachSettings& settings_;
  DetachKeys keys_;
  bool input_open_;
  std::string pending_;  ///< one message the socket would not take yet
  bool detached_ = false;
  bool interrupted_ = false;
};

}  // namespace

Result<AttachEnd> attach_container(const Context& context, const std::string& container_id,
                                   const AttachSettings& settings) {
  auto socket = sys::connect_unix(context.paths().monitor_socket(container_id), SOCK_SEQPACKET);
  if (!socket) {
    if (socket.error().sys_errno() == ENOENT || socket.error().sys_errno() == ECONNREFUSED)
      return make_error(Errc::not_found, "the container has ended");
    return std::move(socket).error();
  }
  TRY_ASSIGN(Signals signals, Signals::take({SIGWINCH, SIGINT, SIGTERM, SIGHUP, SIGQUIT}));
  TRY(sys::send_message(socket->get(), std::string{wire::kAttach}));
  std::optional<RawMode> raw;
  if (settings.terminal) {
    TRY_ASSIGN(RawMode entered, RawMode::enter(STDIN_FILENO));
    raw.emplace(std::move(entered));
  }
  return Attachment{*std::move(socket), std::move(signals), std::move(raw), settings}.run();
}

}  // namespace compose::cli

#include "runtime/monitor/attach.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

#include "runtime/launch/sync.hpp"
#include "runtime/monitor/wire.hpp"
#include "sys/message.hpp"

namespace compose::runtime::monitor {

Result<Attached> Attached::connect(const std::string& monitor_sock) {
  auto socket = sys::connect_unix(monitor_sock, SOCK_SEQPACKET);
  if (!socket) {
    const int code = socket.error().sys_errno();
    if (code != ECONNREFUSED && code != ENOENT) return std::move(socket).error();
    return Error{Errc::not_found, fmt::format("no monitor listens at {}", monitor_sock), code};
  }
  TRY(sys::send_message(socket->get(), std::string(1, wire::kAttach)));
  return Attached{std::move(*socket)};
}

Result<std::optional<Attached::Item>> Attached::receive() {
  for (;;) {
    pollfd poll{socket_.get(), POLLIN, 0};
    if (retry_eintr([&] { return ::poll(&poll, 1, 0); }) == 0) return std::optional<Item>{};
    std::optional<Item> item{std::in_place};
    auto message = launch::sync::receive(socket_.get(), wire::kMaxMessage);
    if (!message || message->data.empty()) return item;
    switch (message->data[0]) {
      case wire::kOutput:
      case wire::kErrors:
        item->kind = message->data[0] == wire::kOutput ? Item::Kind::output : Item::Kind::errors;
        item->bytes = message->data.substr(1);
        return item;
      case wire::kEvent: {
        item->kind = Item::Kind::event;
        TRY_ASSIGN(item->event, wire::decode_event(message->data));
        return item;
      }
      default:
        continue;
    }
  }
}

Result<void> Attached::send_input(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::string_view piece = bytes.substr(0, 4096);
    TRY(sys::send_message(socket_.get(), wire::kInput + std::string{piece}));
    bytes.remove_prefix(piece.size());
  }
  return {};
}

Result<void> Attached::end_input() { return sys::send_message(socket_.get(), std::string(1, wire::kEndInput)); }
Result<void> Attached::resize(std::uint16_t rows, std::uint16_t columns) {
  return sys::send_message(socket_.get(), wire::encode_numbers(wire::kResize, rows, columns));
}
Result<void> Attached::signal(int signo) {
  return sys::send_message(socket_.get(), wire::encode_numbers(wire::kSignal, static_cast<std::uint64_t>(signo)));
}

}  // namespace compose::runtime::monitor

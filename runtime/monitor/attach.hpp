#pragma once
// Somebody who watches a container's output and types into it: `attach`, and `run` in the foreground.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "runtime/monitor/client.hpp"

namespace compose::runtime::monitor {

class Attached {
 public:
  /// Output from this moment on comes here (a container with Request::wait_attach runs its program now).
  /// Errc::not_found: there is no monitor (any more).
  static Result<Attached> connect(const std::string& monitor_sock);

  /// What receive() gives: a piece of output, or news of the container; `closed` when the monitor has gone.
  struct Item {
    enum class Kind : std::uint8_t { output, errors, event, closed } kind = Kind::closed;
    std::string bytes;
    Event event;
  };
  int fd() const { return socket_.get(); }
  /// The next item, or nothing at present. A reader that stops reading makes the container wait, nothing is lost.
  Result<std::optional<Item>> receive();
  /// Bytes for standard input or the terminal.
  Result<void> send_input(std::string_view bytes);
  /// The end of standard input; without meaning for a terminal.
  Result<void> end_input();
  Result<void> resize(std::uint16_t rows, std::uint16_t columns);
  Result<void> signal(int signo);

 private:
  explicit Attached(UniqueFd socket) : socket_{std::move(socket)} {}
  UniqueFd socket_;
};

}  // namespace compose::runtime::monitor

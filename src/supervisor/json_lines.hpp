#pragma once
// Newline-delimited messages over a stream socket.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace compose::supervisor {

/// Collects what a socket gives and hands it out line by line.
class JsonLines {
 public:
  enum class State : std::uint8_t { data, nothing, closed };

  /// The next complete line, without its newline.
  std::optional<std::string> next();
  /// One recv(2) with `flags`. A line longer than 64 MB is Errc::corrupt.
  Result<State> fill(int socket, int flags);

 private:
  std::string buffer_;
  std::size_t searched_ = 0;  // no newline stands before this
};

/// Writes all of it to a blocking or non-blocking socket, waiting for room; no SIGPIPE.
Result<void> write_socket(int socket, std::string_view data);

}  // namespace compose::supervisor

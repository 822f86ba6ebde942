#include "supervisor/json_lines.hpp"

#include <poll.h>
#include <sys/socket.h>

#include "base/unique_fd.hpp"

namespace compose::supervisor {

namespace {
constexpr std::size_t kChunk = std::size_t{64} << 10;
constexpr std::size_t kLongestLine = std::size_t{64} << 20;
}  // namespace

std::optional<std::string> JsonLines::next() {
  const auto end = buffer_.find('\n', searched_);
  if (end == std::string::npos) {
    searched_ = buffer_.size();
    return std::nullopt;
  }
  std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end + 1);
  searched_ = 0;
  return line;
}

Result<JsonLines::State> JsonLines::fill(int socket, int flags) {
  const std::size_t before = buffer_.size();
  if (before > kLongestLine) return make_error(Errc::corrupt, "a message is longer than {} bytes", kLongestLine);
  buffer_.resize(before + kChunk);
  const ssize_t count = retry_eintr([&] { return ::recv(socket, buffer_.data() + before, kChunk, flags); });
  const int saved = errno;
  buffer_.resize(before + (count > 0 ? static_cast<std::size_t>(count) : 0));
  if (count > 0) return State::data;
  if (count == 0 || saved == ECONNRESET) return State::closed;
  if (saved == EAGAIN || saved == EWOULDBLOCK) return State::nothing;
  return os_error_from(saved, "reading from the socket");
}

Result<void> write_socket(int socket, std::string_view data) {
  while (!data.empty()) {
    const ssize_t count = retry_eintr([&] { return ::send(socket, data.data(), data.size(), MSG_NOSIGNAL); });
    if (count >= 0) {
      data.remove_prefix(static_cast<std::size_t>(count));
      continue;
    }
    if (errno != EAGAIN && errno != EWOULDBLOCK) return os_error("writing to the socket");
    pollfd poller{socket, POLLOUT, 0};
    ::poll(&poller, 1, -1);
  }
  return {};
}

}  // namespace compose::supervisor

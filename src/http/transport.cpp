#include "http/transport.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <optional>

namespace compose::http {

namespace {

using std::chrono::milliseconds;

/// Waits for `events`; Errc::timeout after `limit`, Errc::cancelled when the client has been cancelled.
Result<void> wait_for(int fd, short events, milliseconds limit, int cancel_fd, std::string_view what) {
  pollfd fds[2] = {{fd, events, 0}, {cancel_fd, POLLIN, 0}};
  const auto until = std::chrono::steady_clock::now() + limit;
  while (true) {
    const auto left = std::chrono::ceil<milliseconds>(until - std::chrono::steady_clock::now());
    const int count = ::poll(fds, 2, static_cast<int>(std::max<milliseconds::rep>(left.count(), 0)));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return os_error("poll");
    if (fds[1].revents != 0) return make_error(Errc::cancelled, "cancelled");
    if (count > 0) return {};
    return make_error(Errc::timeout, "{}: nothing for {} seconds", what, limit.count() / 1000);
  }
}

class TcpTransport : public Transport {
 public:
  TcpTransport(UniqueFd fd, milliseconds idle, int cancel_fd) : fd_{std::move(fd)}, idle_{idle}, cancel_fd_{cancel_fd} {}

  Result<std::size_t> read(char* buffer, std::size_t size) override {
    while (true) {
      const ssize_t got = ::recv(fd_.get(), buffer, size, 0);
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return os_error("receive");
      TRY(wait_for(fd_.get(), POLLIN, idle_, cancel_fd_, "receive"));
    }
  }

  Result<void> write(std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t count = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count >= 0) {
        bytes.remove_prefix(static_cast<std::size_t>(count));
        continue;
      }
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return os_error("send");
      TRY(wait_for(fd_.get(), POLLOUT, idle_, cancel_fd_, "send"));
    }
    return {};
  }

  bool usable() const override {
    pollfd fd{fd_.get(), POLLIN, 0};
    return ::poll(&fd, 1, 0) == 0;
  }

 private:
  UniqueFd fd_;
  milliseconds idle_;
  int cancel_fd_;
};

Result<UniqueFd> connect_address(const addrinfo& address, const Timeouts& timeouts, int cancel_fd) {
  UniqueFd fd{::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!fd.valid()) return os_error("make a socket");
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(fd.get(), address.ai_addr, address.ai_addrlen) == 0) return fd;
  if (errno != EINPROGRESS && errno != EINTR) return os_error("connect");
  TRY(wait_for(fd.get(), POLLOUT, timeouts.connect, cancel_fd, "connect"));
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return os_error_from(error, "connect");
  return fd;
}

}  // namespace

Result<TransportPtr> connect_tcp(const std::string& host, std::uint16_t port, const Timeouts& timeouts, int cancel_fd) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  int status = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (status == EAI_NONAME || status == EAI_ADDRFAMILY) {
    // AI_ADDRCONFIG leaves ::1 out on a machine whose only IPv6 address is that.
    hints.ai_flags = AI_NUMERICSERV;
    status = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  }
  if (status != 0) {
    const Errc code = status == EAI_NONAME ? Errc::not_found : Errc::failed;
    return make_error(code, "look up \"{}\": {}", host, ::gai_strerror(status));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> list{found, &::freeaddrinfo};
  std::optional<Error> first;
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    Result<UniqueFd> fd = connect_address(*address, timeouts, cancel_fd);
    if (fd) return TransportPtr{std::make_unique<TcpTransport>(std::move(*fd), timeouts.idle, cancel_fd)};
    if (fd.error().code() == Errc::cancelled) return std::move(fd).error();
    if (!first) first = std::move(fd).error();
  }
  if (!first) return make_error(Errc::not_found, "look up \"{}\": no address", host);
  const std::string shown = host.find(':') == std::string::npos ? host : "[" + host + "]";
  return Error{Errc::failed, fmt::format("{}:{}: {}", shown, port, first->message()), first->sys_errno()};
}

}  // namespace compose::http

#include "net/ports/local_proxy.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

namespace compose::net::ports {

namespace {

constexpr std::size_t kChunk = 64 * 1024;
constexpr int kBacklog = 128;

UniqueFd connect_to(const IpAddress& address, std::uint16_t port) {
  const int family = address.is_v4() ? AF_INET : AF_INET6;
  UniqueFd fd{::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!fd.valid()) return {};
  const int on = 1;
  (void)::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_storage storage{};
  socklen_t size = 0;
  if (address.is_v4()) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    std::memcpy(&in.sin_addr, address.bytes().data(), 4);
    std::memcpy(&storage, &in, size = sizeof in);
  } else {
    sockaddr_in6 in6{};
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(port);
    std::memcpy(&in6.sin6_addr, address.bytes().data(), 16);
    std::memcpy(&storage, &in6, size = sizeof in6);
  }
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&storage), size) != 0 && errno != EINPROGRESS) return {};
  return fd;
}

}  // namespace

struct LocalProxy::Listener {
  std::string container_id;
  Port port;
  async::Watch watch;
};

/// One direction: from a socket through a pipe into the other socket.
struct LocalProxy::Stream {
  int from = -1, to = -1;
  UniqueFd pipe_in, pipe_out;
  std::size_t pending = 0;  ///< bytes in the pipe
  bool source_ended = false;
  bool ended = false;  ///< and everything has been passed on
  async::Watch readable, writable;
};

struct LocalProxy::Connection {
  std::string container_id;
  UniqueFd client, container;
  Stream there, back;
  std::list<std::unique_ptr<Connection>>::iterator place;
};

LocalProxy::LocalProxy(async::EventLoop& loop) : loop_{loop} {}
LocalProxy::~LocalProxy() = default;

void LocalProxy::serve(const std::string& container_id, std::vector<Port> ports) {
  listeners_.erase(container_id);
  for (Port& port : ports) {
    if (::listen(port.socket.get(), kBacklog) != 0) continue;
    listeners_[container_id].push_back({container_id, std::move(port), {}});
  }
  watch_listeners();
}

void LocalProxy::stop(const std::string& container_id) {
  listeners_.erase(container_id);
  std::erase_if(connections_, [&](const auto& connection) { return connection->container_id == container_id; });
  watch_listeners();
}

/// Listens where it may: with too many connections nowhere.
void LocalProxy::watch_listeners() {
  const bool full = connections_.size() >= kMostConnections;
  for (auto& [container, list] : listeners_) {
    for (Listener& listener : list) {
      if (full) {
        listener.watch.reset();
      } else if (!listener.watch) {
        listener.watch = loop_.watch_readable(listener.port.socket.get(), [this, &listener] { accept(listener); });
      }
    }
  }
}

void LocalProxy::accept(Listener& listener) {
  UniqueFd client{::accept4(listener.port.socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
  if (!client.valid()) return;
  auto connection = std::make_unique<Connection>();
  connection->container_id = listener.container_id;
  connection->container = connect_to(listener.port.target, listener.port.target_port);
  if (!connection->container.valid()) return;
  connection->client = std::move(client);
  for (const bool there : {true, false}) {
    Stream& stream = there ? connection->there : connection->back;
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return;
    stream.pipe_out.reset(ends[0]);
    stream.pipe_in.reset(ends[1]);
    stream.from = there ? connection->client.get() : connection->container.get();
    stream.to = there ? connection->container.get() : connection->client.get();
  }
  connections_.push_back(std::move(connection));
  Connection& stored = *connections_.back();
  stored.place = std::prev(connections_.end());
  // Not yet connected is neither readable nor an error: the first event decides.
  pump(stored, stored.there);
  watch_listeners();
}

/// Moves what can be moved, then waits for what stands in the way. May end the connection.
void LocalProxy::pump(Connection& connection, Stream& stream) {
  bool blocked = false, starved = false;
  const auto broken = [](ssize_t moved) { return moved < 0 && errno != EAGAIN && errno != EINTR && errno != ENOTCONN; };
  while (!blocked && !starved && !stream.ended) {
    if (stream.pending == 0 && !stream.source_ended) {
      const ssize_t got = ::splice(stream.from, nullptr, stream.pipe_in.get(), nullptr, kChunk, SPLICE_F_NONBLOCK);
      if (broken(got)) return drop(connection);
      if (got == 0) stream.source_ended = true;
      if (got > 0) stream.pending = static_cast<std::size_t>(got);
      if (got < 0) starved = true;
    }
    if (stream.pending > 0) {
      const ssize_t sent =
          ::splice(stream.pipe_out.get(), nullptr, stream.to, nullptr, stream.pending, SPLICE_F_NONBLOCK);
      if (broken(sent)) return drop(connection);
      if (sent > 0) stream.pending -= static_cast<std::size_t>(sent);
      if (sent <= 0) blocked = true;
    } else if (stream.source_ended) {
      (void)::shutdown(stream.to, SHUT_WR);
      stream.ended = true;
    }
  }
  if (connection.there.ended && connection.back.ended) return drop(connection);
  const auto again = [this, &connection, &stream] { pump(connection, stream); };
  // The watch that called this may be the one to be replaced: both are set only where they change.
  if (!starved) stream.readable.reset();
  if (!blocked) stream.writable.reset();
  if (starved && !stream.readable) stream.readable = loop_.watch_readable(stream.from, again);
  if (blocked && !stream.writable) stream.writable = loop_.watch_writable(stream.to, again);
  if (&stream == &connection.there && !connection.back.readable && !connection.back.writable && !connection.back.ended)
    pump(connection, connection.back);
}

void LocalProxy::drop(Connection& connection) {
  // From inside one of its own callbacks: it goes when that has returned.
  const std::shared_ptr<Connection> last{std::move(*connection.place)};
  connections_.erase(connection.place);
  for (Stream* stream : {&last->there, &last->back}) {
    stream->readable.reset();
    stream->writable.reset();
  }
  loop_.post([last] {});
  watch_listeners();
}

}  // namespace compose::net::ports

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "net/dns/service.hpp"

namespace compose::net::dns {
namespace {
constexpr std::size_t kMostConnections = 64;
constexpr std::size_t kMostUnsent = std::size_t{256} << 10;
constexpr Duration kIdle = std::chrono::seconds(10);
}  // namespace

struct TcpService::Connection {
  UniqueFd socket;
  Bytes incoming;
  Bytes outgoing;
  bool ended = false;  ///< nothing of it may be touched any more
  async::Watch readable;
  async::Watch writable;
  async::Timer idle;
};

TcpService::TcpService(async::EventLoop& loop, UniqueFd listener, Handler handler)
    : loop_{loop}, listener_{std::move(listener)}, handler_{std::move(handler)} {
  watch_ = loop_.watch_readable(listener_.get(), [this] { on_connection(); });
}

TcpService::~TcpService() {
  for (const auto& connection : connections_) connection->ended = true;
}

void TcpService::on_connection() {
  UniqueFd socket{::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
  if (!socket.valid() || connections_.size() >= kMostConnections) return;
  auto connection = std::make_shared<Connection>();
  connection->socket = std::move(socket);
  Connection* raw = connection.get();
  connections_.push_back(std::move(connection));
  raw->readable = loop_.watch_readable(raw->socket.get(), [this, raw] { on_readable(*raw); });
  rest(*raw);
}

/// Starts the wait for the asker's next query.
void TcpService::rest(Connection& connection) {
  connection.idle = loop_.call_after(kIdle, [this, &connection] { drop(connection); });
}

void TcpService::drop(Connection& connection) {
  connection.ended = true;
  connections_.remove_if([&](const auto& other) { return other.get() == &connection; });
}

void TcpService::on_readable(Connection& connection) {
  const auto self = *std::find_if(connections_.begin(), connections_.end(),
                                  [&](const auto& other) { return other.get() == &connection; });
  std::uint8_t buffer[4096];
  const ssize_t got = ::recv(connection.socket.get(), buffer, sizeof buffer, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return drop(connection);
  connection.incoming.insert(connection.incoming.end(), buffer, buffer + got);
  while (!connection.ended && take_query(self)) rest(connection);
}

/// Handles the first whole query that has come; false when there is none.
bool TcpService::take_query(const std::shared_ptr<Connection>& connection) {
  Bytes& incoming = connection->incoming;
  if (incoming.size() < 2) return false;
  const std::size_t size = read_u16(incoming, 0);
  if (incoming.size() < size + 2) return false;
  const Bytes query(incoming.begin() + 2, incoming.begin() + 2 + static_cast<std::ptrdiff_t>(size));
  incoming.erase(incoming.begin(), incoming.begin() + 2 + static_cast<std::ptrdiff_t>(size));
  Later later = [this, weak = std::weak_ptr{connection}](const Bytes& bytes) {
    const auto alive = weak.lock();
    if (alive && !alive->ended && !bytes.empty()) reply(*alive, bytes);
  };
  if (const auto bytes = handler_(query, Transport::tcp, std::move(later)); bytes && !bytes->empty()) {
    reply(*connection, *bytes);
  }
  return true;
}

void TcpService::reply(Connection& connection, const Bytes& bytes) {
  if (connection.outgoing.size() + bytes.size() > kMostUnsent) return drop(connection);
  connection.outgoing.push_back(static_cast<std::uint8_t>(bytes.size() >> 8));
  connection.outgoing.push_back(static_cast<std::uint8_t>(bytes.size()));
  connection.outgoing.insert(connection.outgoing.end(), bytes.begin(), bytes.end());
  if (!connection.writable) {
    connection.writable =
        loop_.watch_writable(connection.socket.get(), [this, &connection] { on_writable(connection); });
  }
}

void TcpService::on_writable(Connection& connection) {
  const ssize_t sent =
      ::send(connection.socket.get(), connection.outgoing.data(), connection.outgoing.size(), MSG_NOSIGNAL);
  if (sent < 0) {
    if (errno != EAGAIN && errno != EINTR) drop(connection);
    return;
  }
  connection.outgoing.erase(connection.outgoing.begin(), connection.outgoing.begin() + sent);
  if (connection.outgoing.empty()) connection.writable.reset();
}

}  // namespace compose::net::dns

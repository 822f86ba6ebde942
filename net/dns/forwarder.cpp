#include "net/dns/forwarder.hpp"

#include <sys/random.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "net/dns/upstream.hpp"

namespace compose::net::dns {
namespace {

/// Questions on their way at one time, of all containers: beyond it the asker gets SERVFAIL at once.
constexpr std::size_t kMostExchanges = 512;

std::uint16_t random_id() {
  std::uint16_t id = 0;
  if (::getrandom(&id, sizeof id, 0) != static_cast<ssize_t>(sizeof id)) id = 0;
  return id;
}

void set_id(Bytes& message, std::uint16_t id) {
  message[0] = static_cast<std::uint8_t>(id >> 8);
  message[1] = static_cast<std::uint8_t>(id);
}

}  // namespace

struct Forwarder::Exchange {
  std::uint64_t key = 0;
  Bytes query;  ///< as sent, with the id of the attempt
  std::size_t question_end = 0;
  std::uint16_t asker_id = 0;
  std::uint16_t id = 0;
  Transport transport = Transport::udp;
  Targets targets;
  unsigned attempt = 0;  ///< counts upstreams and rounds
  std::optional<Bytes> last_failure;
  Done done;
  Bytes outgoing;  ///< TCP: what is still to be sent
  Bytes incoming;  ///< TCP: what has come
  UniqueFd socket;
  async::Watch readable;
  async::Watch writable;
  async::Timer timer;
};

Forwarder::Forwarder(async::EventLoop& loop, Duration timeout, unsigned attempts, Server::Counters& counters)
    : loop_{loop}, timeout_{timeout}, attempts_{std::max(attempts, 1U)}, counters_{counters} {}

Forwarder::~Forwarder() = default;

void Forwarder::ask(ByteSpan query, const Query& parsed, Transport transport, Targets targets, Done done) {
  if (exchanges_.size() >= kMostExchanges || targets.upstreams.empty()) {
    loop_.post([done = std::move(done)] { done(std::nullopt); });
    return;
  }
  auto exchange = std::make_unique<Exchange>();
  exchange->key = next_key_++;
  exchange->query.assign(query.begin(), query.end());
  exchange->question_end = parsed.question_end;
  exchange->asker_id = parsed.id;
  exchange->transport = transport;
  exchange->targets = std::move(targets);
  exchange->done = std::move(done);
  Exchange& stored = *exchange;
  exchanges_.emplace(stored.key, std::move(exchange));
  attempt(stored);
}

/// Starts one attempt. Failures to even send go to the next upstream through the timer, so that `done` is never called
/// from within ask().
void Forwarder::attempt(Exchange& exchange) {
  exchange.readable.reset();
  exchange.writable.reset();
  exchange.incoming.clear();
  exchange.id = random_id();
  set_id(exchange.query, exchange.id);
  const bool sent = open(exchange);
  const auto key = exchange.key;
  exchange.timer = loop_.call_after(sent ? timeout_ : Duration{0}, [this, key] {
    if (const auto found = exchanges_.find(key); found != exchanges_.end()) next(*found->second);
  });
}

void Forwarder::next(Exchange& exchange) {
  ++exchange.attempt;
  if (exchange.attempt < exchange.targets.upstreams.size() * attempts_) return attempt(exchange);
  finish(exchange, std::move(exchange.last_failure));
}

void Forwarder::finish(Exchange& exchange, std::optional<Bytes> reply) {
  const auto node = exchanges_.extract(exchange.key);
  if (reply) set_id(*reply, exchange.asker_id);
  node.mapped()->done(std::move(reply));
}

bool Forwarder::open(Exchange& exchange) {
  const auto& upstreams = exchange.targets.upstreams;
  const auto address = upstream_address(upstreams[exchange.attempt % upstreams.size()]);
  const auto beside = exchange.targets.beside.lock();
  if (!address || (exchange.targets.from_there && !beside)) return false;
  const int type = exchange.transport == Transport::udp ? SOCK_DGRAM : SOCK_STREAM;
  exchange.socket = upstream_socket(address->family(), type, beside ? beside->get() : -1);
  if (!exchange.socket.valid()) return false;
  const int connected =
      ::connect(exchange.socket.get(), reinterpret_cast<const sockaddr*>(&address->storage), address->size);
  if (connected != 0 && errno != EINPROGRESS) return false;
  const int fd = exchange.socket.get();
  if (exchange.transport == Transport::udp) {
    if (::send(fd, exchange.query.data(), exchange.query.size(), MSG_NOSIGNAL) < 0) return false;
    exchange.readable = loop_.watch_readable(fd, [this, &exchange] { on_datagram(exchange); });
    return true;
  }
  exchange.outgoing = {static_cast<std::uint8_t>(exchange.query.size() >> 8),
                       static_cast<std::uint8_t>(exchange.query.size())};
  exchange.outgoing.insert(exchange.outgoing.end(), exchange.query.begin(), exchange.query.end());
  exchange.writable = loop_.watch_writable(fd, [this, &exchange] { on_stream_writable(exchange); });
  exchange.readable = loop_.watch_readable(fd, [this, &exchange] { on_stream_readable(exchange); });
  return true;
}

void Forwarder::on_datagram(Exchange& exchange) {
  Bytes buffer(kLargestMessage);
  const ssize_t got = ::recv(exchange.socket.get(), buffer.data(), buffer.size(), 0);
  if (got < 0) {
    // ECONNREFUSED and the like: nobody listens there, so there is nothing to wait for.
    if (errno != EAGAIN && errno != EINTR) next(exchange);
    return;
  }
  consider(exchange, ByteSpan{buffer}.first(static_cast<std::size_t>(got)));
}

void Forwarder::on_stream_writable(Exchange& exchange) {
  const ssize_t sent = ::send(exchange.socket.get(), exchange.outgoing.data(), exchange.outgoing.size(), MSG_NOSIGNAL);
  if (sent < 0) {
    if (errno != EAGAIN && errno != EINTR) next(exchange);
    return;
  }
  exchange.outgoing.erase(exchange.outgoing.begin(), exchange.outgoing.begin() + sent);
  if (exchange.outgoing.empty()) exchange.writable.reset();
}

void Forwarder::on_stream_readable(Exchange& exchange) {
  std::uint8_t buffer[4096];
  const ssize_t got = ::recv(exchange.socket.get(), buffer, sizeof buffer, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return next(exchange);
  exchange.incoming.insert(exchange.incoming.end(), buffer, buffer + got);
  if (exchange.incoming.size() < 2) return;
  const std::size_t size = read_u16(exchange.incoming, 0);
  if (exchange.incoming.size() < size + 2) return;
  const Bytes reply(exchange.incoming.begin() + 2, exchange.incoming.begin() + 2 + static_cast<std::ptrdiff_t>(size));
  exchange.incoming.clear();
  consider(exchange, reply);
}

/// Takes the reply only if it answers this very question; a wrong one is passed over and the wait goes on.
void Forwarder::consider(Exchange& exchange, ByteSpan reply) {
  const std::size_t end = exchange.question_end;
  const auto lower = [](std::uint8_t byte) {
    return byte >= 'A' && byte <= 'Z' ? static_cast<std::uint8_t>(byte + 32) : byte;
  };
  const bool ours = reply.size() >= end && read_u16(reply, 0) == exchange.id && (reply[2] & 0x80) != 0 &&
                    read_u16(reply, 4) == 1 &&
                    std::equal(reply.begin() + kHeaderSize, reply.begin() + static_cast<std::ptrdiff_t>(end),
                               exchange.query.begin() + kHeaderSize,
                               [&](std::uint8_t a, std::uint8_t b) { return lower(a) == lower(b); });
  if (!ours || !find_records(reply)) {
    ++counters_.rejected_replies;
    return;
  }
  Bytes bytes(reply.begin(), reply.end());
  const unsigned rcode = reply[3] & 15;
  if (rcode == kServerFailure || rcode == kRefused || rcode == kNotImplemented) {
    exchange.last_failure = std::move(bytes);
    return next(exchange);
  }
  finish(exchange, std::move(bytes));
}

}  // namespace compose::net::dns

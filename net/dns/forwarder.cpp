#include "net/dns/forwarder.hpp"

#include <net/if.h>
#include <netinet/in.h>
#include <sys/random.h>
#include <time.h>

#include <algorithm>
#include <cstring>

#include "base/strings.hpp"
#include "base/unique_fd.hpp"

namespace compose::net::dns {

namespace {

constexpr std::uint16_t kDnsPort = 53;
constexpr Seconds kShunTime = 30;
constexpr std::uint16_t kTruncatedBit = 0x0200, kMeaningfulFlags = 0x0110;  // RD, CD

Seconds now_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<Seconds>(now.tv_sec);
}

std::uint16_t random_id() {
  std::uint16_t id = 0;
  (void)!::getrandom(&id, sizeof id, 0);
  return id;
}

/// "10.0.0.1", "10.0.0.1:5353", "fd00::1", "[fd00::1]:53", "fe80::1%eth0".
std::optional<Upstream> parse_upstream(std::string text) {
  std::uint16_t port = kDnsPort;
  const auto take_port = [&](std::size_t colon) {
    const auto number = parse_unsigned(std::string_view{text}.substr(colon + 1));
    if (!number || *number == 0 || *number > 65535) return false;
    port = static_cast<std::uint16_t>(*number);
    text.resize(colon);
    return true;
  };
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string::npos) return std::nullopt;
    if (close + 1 < text.size() && (text[close + 1] != ':' || !take_port(close + 1))) return std::nullopt;
    text = text.substr(1, close - 1);
  } else if (std::count(text.begin(), text.end(), ':') == 1) {
    if (!take_port(text.find(':'))) return std::nullopt;
  }
  unsigned scope = 0;
  if (const auto percent = text.find('%'); percent != std::string::npos) {
    scope = ::if_nametoindex(text.c_str() + percent + 1);
    text.resize(percent);
  }
  const auto address = IpAddress::parse(text);
  if (!address.ok()) return std::nullopt;
  Upstream upstream;
  if (address->is_v4()) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    std::memcpy(&in.sin_addr, address->bytes().data(), 4);
    std::memcpy(&upstream.address, &in, sizeof in);
    upstream.size = sizeof in;
  } else {
    sockaddr_in6 in6{};
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(port);
    in6.sin6_scope_id = scope;
    std::memcpy(&in6.sin6_addr, address->bytes().data(), 16);
    std::memcpy(&upstream.address, &in6, sizeof in6);
    upstream.size = sizeof in6;
  }
  return upstream;
}

/// Questions that have the same answer have the same key.
std::string key_of(Bytes message, const Query& query, const UpstreamGroup& group, Transport transport) {
  std::string key{reinterpret_cast<const char*>(message.data()) + kHeaderSize, query.question_end - kHeaderSize};
  const std::size_t name_size = key.size() - 4;
  for (std::size_t i = 0; i < name_size; ++i)
    if (key[i] >= 'A' && key[i] <= 'Z') key[i] = static_cast<char>(key[i] + 32);
  const std::uint16_t flags = query.flags & kMeaningfulFlags;
  key.push_back(static_cast<char>(flags >> 8));
  key.push_back(static_cast<char>(flags));
  key.push_back(
      static_cast<char>((query.edns ? 1 : 0) | (query.dnssec_ok ? 2 : 0) | (transport == Transport::tcp ? 4 : 0)));
  return key + group.name;
}

}  // namespace

std::shared_ptr<UpstreamGroup> UpstreamGroup::parse(const std::vector<std::string>& texts) {
  auto group = std::make_shared<UpstreamGroup>();
  group->name = join(texts, ",");
  for (const std::string& text : texts)
    if (auto upstream = parse_upstream(text)) group->servers.push_back(*upstream);
  return group;
}

std::size_t fit_reply(std::span<std::uint8_t> reply, std::size_t limit, std::size_t question_end) {
  if (reply.size() <= limit) return reply.size();
  write_u16(reply.data() + 2, static_cast<std::uint16_t>(read_u16(reply, 2) | kTruncatedBit));
  std::memset(reply.data() + 6, 0, 6);
  return question_end;
}

struct Forwarder::Transaction {
  struct Waiter {
    std::uint16_t id;
    std::string question;  ///< as this asker spells it
    Done done;
  };
  std::string key;
  std::string query;  ///< with our own id
  std::size_t question_end = 0;
  std::uint16_t id = 0;
  Transport transport = Transport::udp;
  std::shared_ptr<UpstreamGroup> group;
  std::vector<std::size_t> order;  ///< servers, those not shunned first
  unsigned attempt = 0;
  unsigned bad_replies = 0;
  std::vector<Waiter> waiters;
  std::vector<std::uint8_t> fallback;  ///< a refusal, given when nobody knows better
  std::string tcp_in, tcp_out;
  UniqueFd socket;
  async::Watch watch;
  async::Timer timer;
};

Forwarder::Forwarder(async::EventLoop& loop, Limits limits)
    : loop_{loop}, limits_{limits}, cache_{limits.cache_entries}, buffer_(kLargestMessage + 1) {}
Forwarder::~Forwarder() = default;

std::size_t Forwarder::in_flight() const { return transactions_.size(); }

namespace {
/// Gives a stored reply the asker's id and spelling.
void dress(std::span<std::uint8_t> reply, std::uint16_t id, std::string_view question) {
  write_u16(reply.data(), id);
  std::memcpy(reply.data() + kHeaderSize, question.data(), std::min(question.size(), reply.size() - kHeaderSize));
}

std::string_view question_of(Bytes message, const Query& query) {
  return {reinterpret_cast<const char*>(message.data()) + kHeaderSize, query.question_end - kHeaderSize};
}
}  // namespace

std::size_t Forwarder::cached(Bytes message, const Query& query, const UpstreamGroup& group, Transport transport,
                              std::span<std::uint8_t> out) {
  const std::size_t size = cache_.get(key_of(message, query, group, transport), now_seconds(), out);
  if (size == 0) return 0;
  ++counters_.cache_hits;
  dress(out.first(size), query.id, question_of(message, query));
  return size;
}

void Forwarder::ask(Bytes message, const Query& query, std::shared_ptr<UpstreamGroup> group, Transport transport,
                    Done done) {
  constexpr std::size_t kMostWaiters = 1024;
  std::string key = key_of(message, query, *group, transport);
  Transaction::Waiter waiter{query.id, std::string{question_of(message, query)}, std::move(done)};
  if (const auto found = transactions_.find(key);
      found != transactions_.end() && found->second->waiters.size() < kMostWaiters) {
    found->second->waiters.push_back(std::move(waiter));
    return;
  }
  const bool hopeless =
      group->servers.empty() || transactions_.size() >= limits_.in_flight || transactions_.contains(key);
  auto made = std::make_unique<Transaction>();
  if (hopeless) {
    key += fmt::format(" {}", ++hopeless_);  // a key nobody asks for
    made->key = key;
    made->waiters.push_back(std::move(waiter));
    Transaction& transaction = *transactions_.emplace(std::move(key), std::move(made)).first->second;
    ++counters_.failed;
    transaction.timer = loop_.call_after(Duration{0}, [this, &transaction] { finish(transaction, {}); });
    return;
  }
  ++counters_.forwarded;
  made->key = key;
  made->query.assign(reinterpret_cast<const char*>(message.data()), message.size());
  made->question_end = query.question_end;
  made->transport = transport;
  const Seconds now = now_seconds();
  for (std::size_t i = 0; i < group->servers.size(); ++i) made->order.push_back(i);
  std::stable_partition(made->order.begin(), made->order.end(),
                        [&](std::size_t i) { return group->servers[i].shunned_until <= now; });
  made->group = std::move(group);
  made->waiters.push_back(std::move(waiter));
  Transaction& transaction = *transactions_.emplace(std::move(key), std::move(made)).first->second;
  start(transaction);
}

void Forwarder::start(Transaction& transaction) {
  transaction.watch.reset();
  transaction.id = random_id();
  write_u16(reinterpret_cast<std::uint8_t*>(transaction.query.data()), transaction.id);
  transaction.bad_replies = 0;
  transaction.timer = loop_.call_after(limits_.timeout, [this, &transaction] { next_attempt(transaction, true); });
  if (transaction.transport == Transport::tcp) {
    start_tcp(transaction);
    return;
  }
  const Upstream& server =
      transaction.group->servers[transaction.order[transaction.attempt % transaction.order.size()]];
  transaction.socket.reset(::socket(server.address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // Connected: the kernel drops what other addresses send, and a closed port is reported at once.
  const bool sent =
      transaction.socket.valid() &&
      ::connect(transaction.socket.get(), reinterpret_cast<const sockaddr*>(&server.address), server.size) == 0 &&
      ::send(transaction.socket.get(), transaction.query.data(), transaction.query.size(), MSG_NOSIGNAL) >= 0;
  if (!sent) {
    // Not from here: the caller of ask() must not be called back.
    transaction.timer = loop_.call_after(Duration{0}, [this, &transaction] { next_attempt(transaction, true); });
    return;
  }
  transaction.watch = loop_.watch_readable(transaction.socket.get(), [this, &transaction] { on_udp(transaction); });
}

void Forwarder::start_tcp(Transaction& transaction) {
  const Upstream& server =
      transaction.group->servers[transaction.order[transaction.attempt % transaction.order.size()]];
  transaction.tcp_in.clear();
  std::uint8_t length[2];
  write_u16(length, static_cast<std::uint16_t>(transaction.query.size()));
  transaction.tcp_out.assign(reinterpret_cast<const char*>(length), 2);
  transaction.tcp_out += transaction.query;
  transaction.socket.reset(::socket(server.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const bool started =
      transaction.socket.valid() &&
      (::connect(transaction.socket.get(), reinterpret_cast<const sockaddr*>(&server.address), server.size) == 0 ||
       errno == EINPROGRESS);
  if (!started) {
    transaction.timer = loop_.call_after(Duration{0}, [this, &transaction] { next_attempt(transaction, true); });
    return;
  }
  transaction.watch =
      loop_.watch_writable(transaction.socket.get(), [this, &transaction] { on_tcp_writable(transaction); });
}

void Forwarder::on_udp(Transaction& transaction) {
  constexpr unsigned kPatience = 32;  // replies to something else before this socket is given up
  while (true) {
    const ssize_t got = ::recv(transaction.socket.get(), buffer_.data(), buffer_.size(), 0);
    if (got < 0) {
      if (errno != EAGAIN && errno != EINTR) next_attempt(transaction, true);
      return;
    }
    if (accept(transaction, Bytes{buffer_.data(), static_cast<std::size_t>(got)})) return;
    if (++transaction.bad_replies > kPatience) {
      next_attempt(transaction, true);
      return;
    }
  }
}

void Forwarder::on_tcp_writable(Transaction& transaction) {
  const ssize_t sent =
      ::send(transaction.socket.get(), transaction.tcp_out.data(), transaction.tcp_out.size(), MSG_NOSIGNAL);
  if (sent < 0) {
    if (errno != EAGAIN && errno != EINTR) next_attempt(transaction, true);
    return;
  }
  transaction.tcp_out.erase(0, static_cast<std::size_t>(sent));
  if (!transaction.tcp_out.empty()) return;
  transaction.watch =
      loop_.watch_readable(transaction.socket.get(), [this, &transaction] { on_tcp_readable(transaction); });
}

void Forwarder::on_tcp_readable(Transaction& transaction) {
  const ssize_t got = ::recv(transaction.socket.get(), buffer_.data(), buffer_.size(), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    next_attempt(transaction, true);
    return;
  }
  std::string& in = transaction.tcp_in;
  in.append(reinterpret_cast<const char*>(buffer_.data()), static_cast<std::size_t>(got));
  if (in.size() < 2) return;
  const Bytes bytes{reinterpret_cast<const std::uint8_t*>(in.data()), in.size()};
  const std::size_t length = read_u16(bytes, 0);
  if (in.size() < length + 2) return;
  if (!accept(transaction, bytes.subspan(2, length))) next_attempt(transaction, true);
}

bool Forwarder::accept(Transaction& transaction, Bytes reply) {
  const Bytes query{reinterpret_cast<const std::uint8_t*>(transaction.query.data()), transaction.query.size()};
  const bool right_id = reply.size() >= kHeaderSize && read_u16(reply, 0) == transaction.id;
  const auto facts = right_id ? inspect_reply(reply, query) : std::nullopt;
  if (!facts) {
    ++counters_.rejected_replies;
    return false;
  }
  const bool refusal =
      facts->rcode == Rcode::servfail || facts->rcode == Rcode::refused || facts->rcode == Rcode::notimp;
  if (refusal && transaction.attempt + 1 < transaction.order.size()) {
    transaction.fallback.assign(reply.begin(), reply.end());
    next_attempt(transaction, false);
    return true;
  }
  cache_.put(transaction.key, reply, *facts, now_seconds());
  finish(transaction, reply);
  return true;
}

void Forwarder::next_attempt(Transaction& transaction, bool shun) {
  const std::size_t servers = transaction.order.size();
  if (shun && servers > 1)
    transaction.group->servers[transaction.order[transaction.attempt % servers]].shunned_until =
        now_seconds() + kShunTime;
  ++transaction.attempt;
  if (transaction.attempt < servers * limits_.attempts) {
    start(transaction);
    return;
  }
  if (transaction.fallback.empty()) ++counters_.failed;
  const std::vector<std::uint8_t> fallback = std::move(transaction.fallback);
  finish(transaction, fallback);
}

void Forwarder::finish(Transaction& transaction, Bytes reply) {
  const auto found = transactions_.find(transaction.key);
  const std::unique_ptr<Transaction> mine = std::move(found->second);  // callbacks may ask the same again
  transactions_.erase(found);
  std::vector<std::uint8_t> copy;
  for (const Transaction::Waiter& waiter : mine->waiters) {
    copy.assign(reply.begin(), reply.end());
    if (!copy.empty()) dress(copy, waiter.id, waiter.question);
    waiter.done(copy);
  }
}

}  // namespace compose::net::dns

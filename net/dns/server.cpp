#include "net/dns/server.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <unordered_map>

#include "base/strings.hpp"
#include "net/dns/forwarder.hpp"
#include "net/dns/responder.hpp"
#include "sys/file.hpp"

namespace compose::net::dns {

namespace {

constexpr std::size_t kBatch = 32;            // datagrams a system call moves
constexpr std::size_t kLargestQuery = 4096;   // bytes; longer ones over UDP are not queries
constexpr std::size_t kMostConnections = 64;  // of one container at once
constexpr std::size_t kMostUnsent = 256 * 1024;
constexpr std::size_t kMostPending = 512;  // forwarded questions of one container at once

/// The words behind a keyword of resolv.conf(5), over all its lines.
std::vector<std::string> resolv_conf_words(const std::string& path, std::string_view keyword, bool last_line_only) {
  std::vector<std::string> words;
  const auto text = sys::read_file(path, 1 << 20);
  if (!text.ok()) return words;
  for (const std::string& line : split(*text, '\n')) {
    std::string spaced{line.substr(0, line.find_first_of("#;"))};
    std::replace(spaced.begin(), spaced.end(), '\t', ' ');
    std::vector<std::string> parts;
    for (const std::string& part : split(trim(spaced), ' '))
      if (!part.empty()) parts.push_back(part);
    if (parts.size() < 2 || parts[0] != keyword) continue;
    if (last_line_only) words.clear();
    words.insert(words.end(), parts.begin() + 1, parts.end());
  }
  return words;
}

}  // namespace

std::vector<std::string> upstreams_from(const std::string& resolv_conf_path) {
  std::vector<std::string> servers = resolv_conf_words(resolv_conf_path, "nameserver", false);
  if (servers.empty()) servers.push_back("127.0.0.1");  // resolv.conf(5)
  return servers;
}

std::vector<std::string> search_domains_from(const std::string& resolv_conf_path) {
  std::vector<std::string> domains = resolv_conf_words(resolv_conf_path, "search", true);
  for (std::string& domain : domains) domain = to_lower(domain);
  std::erase(domains, ".");
  return domains;
}

struct Server::Impl {
  struct Connection {
    UniqueFd socket;
    std::string in, out;
    unsigned pending = 0;
    async::Watch readable, writable;
    async::Timer idle;
  };

  struct Container {
    std::uint64_t number = 0;  ///< never used again, so that a late answer finds its asker or nobody
    endpoint::ResolverSockets sockets;
    std::shared_ptr<const ZoneView> view;
    std::shared_ptr<UpstreamGroup> group;
    std::map<std::uint64_t, std::unique_ptr<Connection>> connections;
    std::size_t pending = 0;
    async::Watch udp, tcp;
  };

  Impl(async::EventLoop& event_loop, Options wanted)
      : loop{event_loop},
        options{std::move(wanted)},
        forwarder{loop, {options.timeout, options.attempts, options.cache_entries, 2048}},
        default_group{UpstreamGroup::parse(options.upstreams)},
        queries(kBatch * kLargestQuery),
        replies(kBatch * kUdpLimit),
        long_reply(kLargestMessage) {}

  std::shared_ptr<UpstreamGroup> group_for(const ZoneView& view) {
    return view.upstreams.empty() ? default_group : UpstreamGroup::parse(view.upstreams);
  }

  Container* find(std::uint64_t number) {
    const auto found = by_number.find(number);
    return found == by_number.end() ? nullptr : found->second;
  }

  void on_udp(Container& container);
  void answer_udp(Container& container, Bytes message, const sockaddr_in& peer, std::size_t slot);
  void queue(std::size_t slot, std::size_t size, const sockaddr_in& peer);
  void flush(int socket);
  void forward_udp(Container& container, Bytes message, const Query& query, const sockaddr_in& peer);
  void on_accept(Container& container);
  void on_readable(Container& container, std::uint64_t id);
  void on_writable(Container& container, std::uint64_t id);
  void answer_tcp(Container& container, std::uint64_t id, Bytes message);
  void reply_tcp(Container& container, std::uint64_t id, Bytes reply);
  void forward_tcp(Container& container, std::uint64_t id, Bytes message, const Query& query);

  async::EventLoop& loop;
  Options options;
  Forwarder forwarder;
  std::shared_ptr<UpstreamGroup> default_group;
  std::unordered_map<std::string, std::unique_ptr<Container>> containers;
  std::unordered_map<std::uint64_t, Container*> by_number;
  std::uint64_t next_number = 1;
  std::uint32_t rotation = 0;
  std::uint64_t query_count = 0;

  std::vector<std::uint8_t> queries, replies, long_reply;
  std::array<mmsghdr, kBatch> outgoing{};
  std::array<iovec, kBatch> outgoing_bytes{};
  std::array<sockaddr_in, kBatch> outgoing_peers{};
  std::size_t outgoing_count = 0;
};

void Server::Impl::queue(std::size_t slot, std::size_t size, const sockaddr_in& peer) {
  const std::size_t i = outgoing_count++;
  outgoing_peers[i] = peer;
  outgoing_bytes[i] = {replies.data() + slot * kUdpLimit, size};
  outgoing[i] = {};
  outgoing[i].msg_hdr.msg_name = &outgoing_peers[i];
  outgoing[i].msg_hdr.msg_namelen = sizeof outgoing_peers[i];
  outgoing[i].msg_hdr.msg_iov = &outgoing_bytes[i];
  outgoing[i].msg_hdr.msg_iovlen = 1;
}

void Server::Impl::flush(int socket) {
  std::size_t sent = 0;
  while (sent < outgoing_count) {
    const int done = ::sendmmsg(socket, outgoing.data() + sent, static_cast<unsigned>(outgoing_count - sent), 0);
    // An answer that cannot be sent (the asker is gone, its buffer is full) is lost, as UDP may; the next is tried.
    sent += done > 0 ? static_cast<std::size_t>(done) : 1;
  }
  outgoing_count = 0;
}

void Server::Impl::on_udp(Container& container) {
  constexpr int kRounds = 4;  // then the others' turn
  std::array<mmsghdr, kBatch> incoming;
  std::array<iovec, kBatch> bytes;
  std::array<sockaddr_in, kBatch> peers;
  const int socket = container.sockets.udp.get();
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < kBatch; ++i) {
      bytes[i] = {queries.data() + i * kLargestQuery, kLargestQuery};
      incoming[i] = {};
      incoming[i].msg_hdr.msg_name = &peers[i];
      incoming[i].msg_hdr.msg_namelen = sizeof peers[i];
      incoming[i].msg_hdr.msg_iov = &bytes[i];
      incoming[i].msg_hdr.msg_iovlen = 1;
    }
    const int got = ::recvmmsg(socket, incoming.data(), kBatch, MSG_DONTWAIT, nullptr);
    if (got <= 0) return;
    for (std::size_t i = 0; i < static_cast<std::size_t>(got); ++i) {
      if ((incoming[i].msg_hdr.msg_flags & MSG_TRUNC) != 0) continue;
      answer_udp(container, Bytes{queries.data() + i * kLargestQuery, incoming[i].msg_len}, peers[i], i);
    }
    flush(socket);
    if (static_cast<std::size_t>(got) < kBatch) return;
  }
}

void Server::Impl::answer_udp(Container& container, Bytes message, const sockaddr_in& peer, std::size_t slot) {
  ++query_count;
  Query query;
  const std::span<std::uint8_t> out{replies.data() + slot * kUdpLimit, kUdpLimit};
  const auto outcome = Responder::respond(message, *container.view, Transport::udp, rotation++, out, query);
  if (outcome.action == Action::answer) {
    queue(slot, outcome.size, peer);
  } else if (outcome.action == Action::forward) {
    const std::size_t size = forwarder.cached(message, query, *container.group, Transport::udp, out);
    if (size > 0) {
      queue(slot, fit_reply(out.first(size), query.udp_size, query.question_end), peer);
    } else if (container.pending < kMostPending) {
      forward_udp(container, message, query, peer);
    } else {
      queue(slot, Responder::failure(message, query, Rcode::servfail, out), peer);
    }
  }
}

void Server::Impl::forward_udp(Container& container, Bytes message, const Query& query, const sockaddr_in& peer) {
  ++container.pending;
  std::vector<std::uint8_t> asked{message.begin(), message.end()};
  forwarder.ask(message, query, container.group, Transport::udp,
                [this, number = container.number, peer, query, asked = std::move(asked)](Bytes reply) {
                  Container* asker = find(number);
                  if (asker == nullptr) return;
                  --asker->pending;
                  std::size_t size = 0;
                  if (reply.empty()) {
                    size = Responder::failure(asked, query, Rcode::servfail, long_reply);
                  } else {
                    std::copy(reply.begin(), reply.end(), long_reply.begin());
                    size = fit_reply(std::span{long_reply}.first(reply.size()), query.udp_size, query.question_end);
                  }
                  (void)!::sendto(asker->sockets.udp.get(), long_reply.data(), size, MSG_DONTWAIT,
                                  reinterpret_cast<const sockaddr*>(&peer), sizeof peer);
                });
}

void Server::Impl::on_accept(Container& container) {
  while (true) {
    UniqueFd socket{::accept4(container.sockets.tcp.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    if (!socket.valid()) return;
    if (container.connections.size() >= kMostConnections) continue;  // closed: the asker tries again
    const std::uint64_t id = next_number++;
    auto connection = std::make_unique<Connection>();
    connection->socket = std::move(socket);
    connection->idle = loop.call_after(options.idle, [&container, id] { container.connections.erase(id); });
    connection->readable =
        loop.watch_readable(connection->socket.get(), [this, &container, id] { on_readable(container, id); });
    container.connections.emplace(id, std::move(connection));
  }
}

void Server::Impl::on_readable(Container& container, std::uint64_t id) {
  Connection& connection = *container.connections.at(id);
  char buffer[8192];
  const ssize_t got = ::recv(connection.socket.get(), buffer, sizeof buffer, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0 || connection.out.size() > kMostUnsent) {
    container.connections.erase(id);
    return;
  }
  connection.in.append(buffer, static_cast<std::size_t>(got));
  connection.idle = loop.call_after(options.idle, [&container, id] { container.connections.erase(id); });
  std::string input = std::move(connection.in);
  std::string_view rest = input;
  while (rest.size() >= 2) {
    const Bytes bytes{reinterpret_cast<const std::uint8_t*>(rest.data()), rest.size()};
    const std::size_t length = read_u16(bytes, 0);
    if (rest.size() < length + 2) break;
    answer_tcp(container, id, bytes.subspan(2, length));
    if (!container.connections.contains(id)) return;
    rest.remove_prefix(length + 2);
  }
  connection.in = rest;
}

void Server::Impl::answer_tcp(Container& container, std::uint64_t id, Bytes message) {
  ++query_count;
  Query query;
  const auto outcome = Responder::respond(message, *container.view, Transport::tcp, rotation++, long_reply, query);
  if (outcome.action == Action::answer) {
    reply_tcp(container, id, Bytes{long_reply.data(), outcome.size});
  } else if (outcome.action == Action::forward) {
    const std::size_t size = forwarder.cached(message, query, *container.group, Transport::tcp, long_reply);
    if (size > 0) {
      reply_tcp(container, id, Bytes{long_reply.data(), size});
    } else if (container.pending < kMostPending) {
      forward_tcp(container, id, message, query);
    } else {
      reply_tcp(container, id,
                Bytes{long_reply.data(), Responder::failure(message, query, Rcode::servfail, long_reply)});
    }
  } else {
    container.connections.erase(id);  // not DNS
  }
}

void Server::Impl::forward_tcp(Container& container, std::uint64_t id, Bytes message, const Query& query) {
  ++container.pending;
  std::vector<std::uint8_t> asked{message.begin(), message.end()};
  forwarder.ask(message, query, container.group, Transport::tcp,
                [this, number = container.number, id, query, asked = std::move(asked)](Bytes reply) {
                  Container* asker = find(number);
                  if (asker == nullptr) return;
                  --asker->pending;
                  if (!asker->connections.contains(id)) return;
                  if (reply.empty())
                    reply = Bytes{long_reply.data(), Responder::failure(asked, query, Rcode::servfail, long_reply)};
                  reply_tcp(*asker, id, reply);
                });
}

void Server::Impl::reply_tcp(Container& container, std::uint64_t id, Bytes reply) {
  Connection& connection = *container.connections.at(id);
  std::uint8_t length[2];
  write_u16(length, static_cast<std::uint16_t>(reply.size()));
  const bool idle = connection.out.empty();
  connection.out.append(reinterpret_cast<const char*>(length), sizeof length);
  connection.out.append(reinterpret_cast<const char*>(reply.data()), reply.size());
  if (idle) on_writable(container, id);
}

void Server::Impl::on_writable(Container& container, std::uint64_t id) {
  Connection& connection = *container.connections.at(id);
  const ssize_t sent = ::send(connection.socket.get(), connection.out.data(), connection.out.size(), MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN && errno != EINTR) {
    container.connections.erase(id);
    return;
  }
  if (sent > 0) connection.out.erase(0, static_cast<std::size_t>(sent));
  if (connection.out.empty()) {
    connection.writable.reset();
  } else if (!connection.writable) {
    connection.writable =
        loop.watch_writable(connection.socket.get(), [this, &container, id] { on_writable(container, id); });
  }
}

Server::Server(async::EventLoop& loop, Options options) : impl_{std::make_unique<Impl>(loop, std::move(options))} {}
Server::Server(async::EventLoop& loop, std::vector<std::string> upstreams)
    : Server{loop, [&] {
               Options options;
               options.upstreams = std::move(upstreams);
               return options;
             }()} {}
Server::~Server() = default;

void Server::serve(const std::string& container_id, endpoint::ResolverSockets sockets,
                   std::shared_ptr<const ZoneView> view) {
  stop(container_id);
  auto made = std::make_unique<Impl::Container>();
  Impl::Container& container = *made;
  container.number = impl_->next_number++;
  container.sockets = std::move(sockets);
  container.group = impl_->group_for(*view);
  container.view = std::move(view);
  if (container.sockets.udp.valid())
    container.udp = impl_->loop.watch_readable(container.sockets.udp.get(),
                                               [impl = impl_.get(), &container] { impl->on_udp(container); });
  if (container.sockets.tcp.valid())
    container.tcp = impl_->loop.watch_readable(container.sockets.tcp.get(),
                                               [impl = impl_.get(), &container] { impl->on_accept(container); });
  impl_->by_number.emplace(container.number, &container);
  impl_->containers.emplace(container_id, std::move(made));
}

void Server::update(const std::string& container_id, std::shared_ptr<const ZoneView> view) {
  const auto found = impl_->containers.find(container_id);
  if (found == impl_->containers.end()) return;
  found->second->group = impl_->group_for(*view);
  found->second->view = std::move(view);
}

void Server::stop(const std::string& container_id) {
  const auto found = impl_->containers.find(container_id);
  if (found == impl_->containers.end()) return;
  impl_->by_number.erase(found->second->number);
  impl_->containers.erase(found);
}

void Server::set_upstreams(std::vector<std::string> upstreams) {
  impl_->default_group = UpstreamGroup::parse(upstreams);
  impl_->forwarder.forget();
  for (auto& [id, container] : impl_->containers) container->group = impl_->group_for(*container->view);
}

Server::Counters Server::counters() const {
  const ForwardCounters& forward = impl_->forwarder.counters();
  return {impl_->query_count, forward.forwarded, forward.cache_hits, forward.failed, forward.rejected_replies};
}

}  // namespace compose::net::dns

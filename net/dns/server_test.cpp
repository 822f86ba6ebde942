// The server on loopback sockets, with an upstream of the test's own that may be hostile.
#include "net/dns/server.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "net/dns/message.hpp"
#include "net/testing/dns_text.hpp"

namespace compose::net::dns {
namespace {

using testing::bytes_of;
using testing::make_query;
using testing::reply_text;

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

UniqueFd bound_socket(int type, std::uint16_t& port) {
  UniqueFd fd{::socket(AF_INET, type | SOCK_CLOEXEC, 0)};
  sockaddr_in address = loopback(port);
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0) << std::strerror(errno);
  socklen_t size = sizeof address;
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  port = ntohs(address.sin_port);
  if (type == SOCK_STREAM) ::listen(fd.get(), 16);
  return fd;
}

std::string reply_to(const std::string& query, const std::string& address, std::uint32_t ttl = 60,
                     unsigned copies = 1) {
  std::string reply = query.substr(0, skip_name(bytes_of(query), 12).value() + 4);
  auto* head = reinterpret_cast<std::uint8_t*>(reply.data());
  write_u16(head + 2, 0x8180);
  write_u16(head + 6, static_cast<std::uint16_t>(copies));
  write_u16(head + 10, 0);
  for (unsigned i = 0; i < copies; ++i) {
    reply += std::string{"\xc0\x0c\0\1\0\1", 6};
    std::uint8_t number[4];
    write_u32(number, ttl);
    reply.append(reinterpret_cast<const char*>(number), 4);
    reply += std::string{"\0\4", 2};
    in_addr ip{};
    inet_pton(AF_INET, address.c_str(), &ip);
    reply.append(reinterpret_cast<const char*>(&ip), 4);
  }
  return reply;
}

/// A name server on a thread: `answer` turns a query into the datagrams to send back.
class FakeUpstream {
 public:
  using Answer = std::function<std::vector<std::string>(const std::string& query)>;
  explicit FakeUpstream(Answer answer) : answer_{std::move(answer)}, stop_{::eventfd(0, EFD_CLOEXEC)} {
    udp_ = bound_socket(SOCK_DGRAM, port_);
    tcp_ = bound_socket(SOCK_STREAM, port_);
    thread_ = std::thread{[this] { serve(); }};
  }
  ~FakeUpstream() {
    const std::uint64_t one = 1;
    (void)!::write(stop_.get(), &one, sizeof one);
    thread_.join();
  }
  FakeUpstream(const FakeUpstream&) = delete;
  FakeUpstream& operator=(const FakeUpstream&) = delete;
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  unsigned queries() const { return queries_; }
  unsigned ports_seen() const { return static_cast<unsigned>(ports_.size()); }

 private:
  void serve() {
    std::string buffer(70000, '\0');
    while (true) {
      pollfd events[] = {{udp_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}, {tcp_.get(), POLLIN, 0}};
      ::poll(events, 3, -1);
      if (events[1].revents != 0) return;
      if (events[0].revents != 0) {
        sockaddr_in peer{};
        socklen_t size = sizeof peer;
        const ssize_t got =
            ::recvfrom(udp_.get(), buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&peer), &size);
        ++queries_;
        ports_.insert({peer.sin_port, 0});
        for (const std::string& reply : answer_(buffer.substr(0, static_cast<std::size_t>(got))))
          (void)!::sendto(udp_.get(), reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&peer), size);
      }
      if (events[2].revents != 0) {
        const UniqueFd connection{::accept4(tcp_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
        const ssize_t got = ::recv(connection.get(), buffer.data(), buffer.size(), 0);
        ++queries_;
        if (got <= 2) continue;
        for (const std::string& reply : answer_(buffer.substr(2, static_cast<std::size_t>(got) - 2))) {
          std::string framed(2, '\0');
          write_u16(reinterpret_cast<std::uint8_t*>(framed.data()), static_cast<std::uint16_t>(reply.size()));
          framed += reply;
          (void)!::send(connection.get(), framed.data(), framed.size(), MSG_NOSIGNAL);
        }
      }
    }
  }
  Answer answer_;
  UniqueFd udp_, tcp_, stop_;
  std::uint16_t port_ = 0;
  std::atomic<unsigned> queries_ = 0;
  std::map<std::uint16_t, int> ports_;
  std::thread thread_;
};

IpAddress ip(const std::string& text) { return IpAddress::parse(text).value(); }

class ServerTest : public ::testing::Test {
 protected:
  void start(std::vector<std::string> upstreams, Duration timeout = std::chrono::seconds(5)) {
    Server::Options options;
    options.upstreams = std::move(upstreams);
    options.timeout = timeout;
    server_ = std::make_unique<Server>(loop_, options);
    Member db;
    db.id = "1";
    db.names = {"shop-db-1", "db"};
    db.addresses = {ip("172.18.0.2")};
    zone_->put(db);
    view_ = std::make_shared<ZoneView>();
    view_->zones = {zone_};
    endpoint::ResolverSockets sockets;
    sockets.udp = bound_socket(SOCK_DGRAM, udp_port_);
    sockets.tcp = bound_socket(SOCK_STREAM, tcp_port_);
    server_->serve("c1", std::move(sockets), view_);
  }

  /// Runs `client` on a thread while the loop serves.
  void with_client(const std::function<void()>& client) {
    std::thread thread{[&] {
      client();
      loop_.stop();
    }};
    loop_.run();
    thread.join();
  }

  std::string exchange(const std::string& query) const {
    const UniqueFd fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    const timeval limit{10, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    sockaddr_in address = loopback(udp_port_);
    ::sendto(fd.get(), query.data(), query.size(), 0, reinterpret_cast<sockaddr*>(&address), sizeof address);
    std::string reply(70000, '\0');
    const ssize_t got = ::recv(fd.get(), reply.data(), reply.size(), 0);
    return got < 0 ? std::string{} : reply.substr(0, static_cast<std::size_t>(got));
  }

  std::string ask(const std::string& name, Type type = Type::a) const {
    return reply_text(bytes_of(exchange(make_query(name, type))));
  }

  UniqueFd connect_tcp() const {
    UniqueFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    const timeval limit{10, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    sockaddr_in address = loopback(tcp_port_);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }

  static std::string framed(const std::string& query) {
    std::string bytes(2, '\0');
    write_u16(reinterpret_cast<std::uint8_t*>(bytes.data()), static_cast<std::uint16_t>(query.size()));
    return bytes + query;
  }

  static std::string read_frame(int fd) {
    std::string head(2, '\0');
    if (::recv(fd, head.data(), 2, MSG_WAITALL) != 2) return {};
    std::string reply(read_u16(bytes_of(head), 0), '\0');
    if (::recv(fd, reply.data(), reply.size(), MSG_WAITALL) != static_cast<ssize_t>(reply.size())) return {};
    return reply;
  }

  async::EventLoop loop_;
  std::shared_ptr<Zone> zone_ = std::make_shared<Zone>("shop_default");
  std::shared_ptr<ZoneView> view_;
  std::unique_ptr<Server> server_;
  std::uint16_t udp_port_ = 0, tcp_port_ = 0;
};

TEST_F(ServerTest, AnswersOverUdpAndTcp) {
  start({});
  with_client([&] {
    EXPECT_EQ(ask("db"), "NOERROR\ndb A 172.18.0.2\n");
    const UniqueFd tcp = connect_tcp();
    // Two questions in one segment, the second one torn in two.
    const std::string both = framed(make_query("db", Type::a)) + framed(make_query("db", Type::aaaa));
    ::send(tcp.get(), both.data(), both.size() - 5, 0);
    EXPECT_EQ(reply_text(bytes_of(read_frame(tcp.get()))), "NOERROR\ndb A 172.18.0.2\n");
    ::send(tcp.get(), both.data() + both.size() - 5, 5, 0);
    EXPECT_EQ(reply_text(bytes_of(read_frame(tcp.get()))), "NOERROR\n");
  });
  EXPECT_EQ(server_->counters().queries, 3U);
}

TEST_F(ServerTest, ForwardsAndCaches) {
  FakeUpstream upstream{[](const std::string& query) { return std::vector{reply_to(query, "192.0.2.7")}; }};
  start({upstream.address()});
  with_client([&] {
    EXPECT_EQ(ask("example.com"), "NOERROR\nexample.com A 192.0.2.7\n");
    EXPECT_EQ(ask("Example.COM"), "NOERROR\nExample.COM A 192.0.2.7\n");  // from the cache, in the asker's spelling
    EXPECT_EQ(ask("example.org"), "NOERROR\nexample.org A 192.0.2.7\n");
  });
  EXPECT_EQ(upstream.queries(), 2U);
  EXPECT_EQ(upstream.ports_seen(), 2U) << "each question leaves from a port of its own";
  EXPECT_EQ(server_->counters().cache_hits, 1U);
}

TEST_F(ServerTest, ForwardsOverTcp) {
  FakeUpstream upstream{[](const std::string& query) { return std::vector{reply_to(query, "192.0.2.7", 60, 2000)}; }};
  start({upstream.address()});
  with_client([&] {
    const UniqueFd tcp = connect_tcp();
    const std::string query = framed(make_query("big.example", Type::a));
    ::send(tcp.get(), query.data(), query.size(), 0);
    const std::string reply = read_frame(tcp.get());
    EXPECT_EQ(read_u16(bytes_of(reply), 6), 2000);
    // The same over UDP does not fit: truncated, so the asker comes back by TCP.
    EXPECT_EQ(ask("big.example"), "NOERROR truncated\n");
  });
}

TEST_F(ServerTest, TheNextServerIsAskedWhenOneIsSilentOrRefuses) {
  FakeUpstream silent{[](const std::string&) { return std::vector<std::string>{}; }};
  FakeUpstream refusing{[](const std::string& query) {
    std::string reply = query;
    reply[2] = static_cast<char>(0x81);
    reply[3] = static_cast<char>(0x85);
    return std::vector{reply};
  }};
  FakeUpstream good{[](const std::string& query) { return std::vector{reply_to(query, "192.0.2.7")}; }};
  start({silent.address(), refusing.address(), good.address()}, std::chrono::milliseconds(50));
  with_client([&] { EXPECT_EQ(ask("example.com"), "NOERROR\nexample.com A 192.0.2.7\n"); });
}

TEST_F(ServerTest, AnUpstreamThatIsNotThereIsAServerFailure) {
  std::uint16_t closed = 0;
  {
    const UniqueFd gone = bound_socket(SOCK_DGRAM, closed);
  }
  start({"127.0.0.1:" + std::to_string(closed)}, std::chrono::milliseconds(50));
  with_client([&] {
    EXPECT_EQ(ask("example.com"), "SERVFAIL\n");
    EXPECT_EQ(ask("db"), "NOERROR\ndb A 172.18.0.2\n");
  });
  EXPECT_EQ(server_->counters().failed, 1U);
}

TEST_F(ServerTest, WithoutUpstreamsTheAnswerIsAServerFailureAtOnce) {
  start({});
  with_client([&] { EXPECT_EQ(ask("example.com"), "SERVFAIL\n"); });
}

TEST_F(ServerTest, HostileRepliesAreNotBelieved) {
  FakeUpstream hostile{[](const std::string& query) {
    std::vector<std::string> replies;
    std::string wrong_id = reply_to(query, "6.6.6.6");
    wrong_id[0] = static_cast<char>(wrong_id[0] ^ 1);
    replies.push_back(wrong_id);
    std::string other = make_query("evil.example", Type::a);
    other[0] = query[0];
    other[1] = query[1];
    replies.push_back(reply_to(other, "6.6.6.6"));
    replies.push_back(query);                                     // its own question back
    replies.push_back(reply_to(query, "6.6.6.6").substr(0, 40));  // torn
    replies.push_back("");
    replies.push_back(std::string(65000, '\xff'));
    replies.push_back(reply_to(query, "192.0.2.7"));
    return replies;
  }};
  start({hostile.address()});
  with_client([&] {
    EXPECT_EQ(ask("example.com"), "NOERROR\nexample.com A 192.0.2.7\n");
    EXPECT_EQ(ask("example.com"), "NOERROR\nexample.com A 192.0.2.7\n");
  });
  EXPECT_EQ(hostile.queries(), 1U);
  EXPECT_EQ(server_->counters().rejected_replies, 6U);
}

TEST_F(ServerTest, EqualQuestionsInFlightAreAskedOnce) {
  std::atomic<bool> go = false;
  FakeUpstream upstream{[&](const std::string& query) {
    while (!go) std::this_thread::yield();
    return std::vector{reply_to(query, "192.0.2.7")};
  }};
  start({upstream.address()});
  with_client([&] {
    std::vector<UniqueFd> clients;
    const sockaddr_in address = loopback(udp_port_);
    for (std::uint16_t i = 0; i < 20; ++i) {
      clients.emplace_back(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      const timeval limit{10, 0};
      ::setsockopt(clients.back().get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
      const std::string query = make_query("example.com", Type::a, {.id = static_cast<std::uint16_t>(1000 + i)});
      ::sendto(clients.back().get(), query.data(), query.size(), 0, reinterpret_cast<const sockaddr*>(&address),
               sizeof address);
    }
    // Something local behind them: when it is answered, all twenty are with the forwarder.
    EXPECT_EQ(ask("db"), "NOERROR\ndb A 172.18.0.2\n");
    go = true;
    for (std::uint16_t i = 0; i < 20; ++i) {
      char reply[512];
      ASSERT_GT(::recv(clients[i].get(), reply, sizeof reply, 0), 12);
      EXPECT_EQ(read_u16({reinterpret_cast<std::uint8_t*>(reply), 2}, 0), 1000 + i);
    }
  });
  EXPECT_EQ(upstream.queries(), 1U);
}

TEST_F(ServerTest, AContainersOwnServersAndViewAreUsed) {
  FakeUpstream host{[](const std::string& query) { return std::vector{reply_to(query, "192.0.2.1")}; }};
  FakeUpstream own{[](const std::string& query) { return std::vector{reply_to(query, "192.0.2.2")}; }};
  start({host.address()});
  with_client([&] { EXPECT_EQ(ask("example.com"), "NOERROR\nexample.com A 192.0.2.1\n"); });
  auto changed = std::make_shared<ZoneView>(*view_);
  changed->upstreams = {own.address()};
  server_->update("c1", changed);
  with_client([&] { EXPECT_EQ(ask("example.com"), "NOERROR\nexample.com A 192.0.2.2\n"); });
  auto closed = std::make_shared<ZoneView>(*view_);
  closed->forward_outside = false;
  server_->update("c1", closed);
  with_client([&] { EXPECT_EQ(ask("example.com"), "NXDOMAIN\n"); });
  EXPECT_EQ(host.queries(), 1U);
}

TEST_F(ServerTest, StoppingWhileAQuestionIsOutIsHarmless) {
  FakeUpstream silent{[](const std::string&) { return std::vector<std::string>{}; }};
  start({silent.address()}, std::chrono::milliseconds(50));
  with_client([&] {
    const UniqueFd fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    sockaddr_in address = loopback(udp_port_);
    const std::string query = make_query("example.com", Type::a);
    ::sendto(fd.get(), query.data(), query.size(), 0, reinterpret_cast<sockaddr*>(&address), sizeof address);
    EXPECT_EQ(ask("db"), "NOERROR\ndb A 172.18.0.2\n");
  });
  server_->stop("c1");
  async::Timer end = loop_.call_after(std::chrono::milliseconds(200), [&] { loop_.stop(); });
  loop_.run();
  EXPECT_EQ(server_->counters().failed, 1U);
}

TEST(ResolvConf, IsRead) {
  const std::string path = ::testing::TempDir() + "/resolv-" + std::to_string(::getpid());
  std::ofstream{path} << "# comment\nnameserver 10.0.0.1 # first\nnameserver\tfd00::1\nsearch old.example\n"
                         "search Corp.Example lan\noptions ndots:1\n";
  EXPECT_EQ(upstreams_from(path), (std::vector<std::string>{"10.0.0.1", "fd00::1"}));
  EXPECT_EQ(search_domains_from(path), (std::vector<std::string>{"corp.example", "lan"}));
  std::filesystem::remove(path);
  EXPECT_EQ(upstreams_from(path), std::vector<std::string>{"127.0.0.1"});
}

}  // namespace
}  // namespace compose::net::dns

// The whole server on loopback sockets, with an upstream of the test's own on the same loop.
#include "net/dns/server.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>

#include "net/dns/test_messages.hpp"
#include "net/dns/upstream.hpp"
#include "sys/file.hpp"

namespace compose::net::dns {
namespace {

using namespace std::chrono_literals;
using testing::address_reply;
using testing::describe;
using testing::query;

struct Bound {
  UniqueFd fd;
  sockaddr_in address{};
  std::string text() const { return "127.0.0.1:" + std::to_string(ntohs(address.sin_port)); }
};

Bound bind_loopback(int type) {
  Bound bound;
  bound.fd = UniqueFd{::socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  bound.address.sin_family = AF_INET;
  bound.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::bind(bound.fd.get(), reinterpret_cast<sockaddr*>(&bound.address), sizeof bound.address), 0);
  if (type == SOCK_STREAM) {
    EXPECT_EQ(::listen(bound.fd.get(), 8), 0);
  }
  socklen_t size = sizeof bound.address;
  ::getsockname(bound.fd.get(), reinterpret_cast<sockaddr*>(&bound.address), &size);
  return bound;
}

class DnsServer : public ::testing::Test {
 protected:
  using Answer = std::function<std::vector<Bytes>(const Bytes& asked)>;

  void SetUp() override {
    zone_->put({"1", {"web"}, {*IpAddress::parse("10.0.0.2")}, true, {}});
    view_->zones = {zone_};
  }
  /// An upstream that answers each query with what `answer` returns, in that order.
  std::string upstream(Answer answer) {
    upstream_ = bind_loopback(SOCK_DGRAM);
    upstream_watch_ = loop_.watch_readable(upstream_.fd.get(), [this, answer = std::move(answer)] {
      Bytes asked(4096);
      sockaddr_in from{};
      socklen_t size = sizeof from;
      const auto got =
          ::recvfrom(upstream_.fd.get(), asked.data(), asked.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
      if (got < 0) return;
      ++asked_;
      asked.resize(static_cast<std::size_t>(got));
      for (const auto& reply : answer(asked)) {
        ::sendto(upstream_.fd.get(), reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
      }
    });
    return upstream_.text();
  }
  void start(std::vector<std::string> upstreams, Duration timeout = 50ms) {
    server_ = std::make_unique<Server>(loop_, Server::Options{std::move(upstreams), timeout, 2, 100});
    udp_ = bind_loopback(SOCK_DGRAM);
    tcp_ = bind_loopback(SOCK_STREAM);
    server_->serve("c", {UniqueFd{::dup(udp_.fd.get())}, UniqueFd{::dup(tcp_.fd.get())}}, view_);
  }
  /// Asks over UDP and runs the loop until the reply is there.
  std::string ask(const Bytes& bytes) {
    const UniqueFd client{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    ::connect(client.get(), reinterpret_cast<const sockaddr*>(&udp_.address), sizeof udp_.address);
    ::send(client.get(), bytes.data(), bytes.size(), 0);
    return describe(wait(client.get()));
  }
  std::string ask_tcp(const Bytes& bytes) {
    const UniqueFd client{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    ::connect(client.get(), reinterpret_cast<const sockaddr*>(&tcp_.address), sizeof tcp_.address);
    Bytes framed;
    testing::put_u16(framed, static_cast<unsigned>(bytes.size()));
    framed.insert(framed.end(), bytes.begin(), bytes.end());
    ::send(client.get(), framed.data(), framed.size(), 0);
    const Bytes reply = wait(client.get());
    return reply.size() < 2 ? "none" : describe(ByteSpan{reply}.subspan(2));
  }
  Bytes wait(int fd) {
    Bytes reply(65536);
    ssize_t got = -1;
    auto watch = loop_.watch_readable(fd, [&] {
      got = ::recv(fd, reply.data(), reply.size(), 0);
      loop_.stop();
    });
    auto limit = loop_.call_after(5s, [&] { loop_.stop(); });
    loop_.run();
    reply.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return reply;
  }

  async::EventLoop loop_;
  std::shared_ptr<Zone> zone_ = std::make_shared<Zone>("net");
  std::shared_ptr<ZoneView> view_ = std::make_shared<ZoneView>();
  Bound upstream_, udp_, tcp_;
  async::Watch upstream_watch_;
  int asked_ = 0;
  std::unique_ptr<Server> server_;
};

TEST_F(DnsServer, AnswersOwnNamesOverUdpAndTcp) {
  start({});
  EXPECT_EQ(ask(query("web", kTypeA)), "NOERROR aa 10.0.0.2");
  EXPECT_EQ(ask_tcp(query("web", kTypeA)), "NOERROR aa 10.0.0.2");
}

TEST_F(DnsServer, ForwardsTheRestAndKeepsIt) {
  start({upstream([](const Bytes& asked) { return std::vector<Bytes>{address_reply(asked, "192.0.2.7")}; })});
  EXPECT_EQ(ask(query("example.com", kTypeA)), "NOERROR 192.0.2.7");
  EXPECT_EQ(ask(query("example.com", kTypeA)), "NOERROR 192.0.2.7");
  EXPECT_EQ(asked_, 1);
  EXPECT_EQ(server_->counters().cache_hits, 1U);
}

TEST_F(DnsServer, RepliesToAnotherQuestionOrIdDoNotCount) {
  start({upstream([](const Bytes& asked) {
    Bytes wrong_id = address_reply(asked, "192.0.2.66");
    wrong_id[0] ^= 0xff;
    const Bytes other = query("evil.example", kTypeA, 0, read_u16(asked, 0));
    return std::vector<Bytes>{wrong_id, address_reply(other, "192.0.2.66"), Bytes{1, 2, 3},
                              address_reply(asked, "192.0.2.7")};
  })});
  EXPECT_EQ(ask(query("example.com", kTypeA)), "NOERROR 192.0.2.7");
  EXPECT_EQ(server_->counters().rejected_replies, 3U);
}

TEST_F(DnsServer, ASilentUpstreamIsPassedOver) {
  const Bound silent = bind_loopback(SOCK_DGRAM);
  const std::string good =
      upstream([](const Bytes& asked) { return std::vector<Bytes>{address_reply(asked, "192.0.2.7")}; });
  start({silent.text(), good});
  EXPECT_EQ(ask(query("example.com", kTypeA)), "NOERROR 192.0.2.7");
}

TEST_F(DnsServer, WithoutAnyAnswerTheAskerHearsServfail) {
  const Bound silent = bind_loopback(SOCK_DGRAM);
  start({silent.text()}, 10ms);
  EXPECT_EQ(ask(query("example.com", kTypeA)), "SERVFAIL");
  EXPECT_EQ(ask_tcp(query("example.com", kTypeA)), "SERVFAIL");
}

TEST_F(DnsServer, AnUpdateOfTheViewCountsAtOnce) {
  start({});
  auto view = std::make_shared<ZoneView>();
  view->forward_outside = false;
  server_->update("c", view);
  EXPECT_EQ(ask(query("web", kTypeA)), "NXDOMAIN aa");
}

TEST(DnsUpstreams, ComeFromResolvConf) {
  char path[] = "/tmp/compose-dns-XXXXXX";
  const UniqueFd file{::mkstemp(path)};
  ASSERT_TRUE(
      sys::write_all(file.get(), "# x\nnameserver 10.0.0.1\nsearch a b\nnameserver fe80::1%eth0\nnameserver junk\n"));
  EXPECT_EQ(upstreams_from(path), (std::vector<std::string>{"10.0.0.1", "fe80::1%eth0"}));
  ::unlink(path);
  EXPECT_EQ(upstreams_from("/nowhere"), std::vector<std::string>{"127.0.0.1"});
}

TEST(DnsUpstreams, AddressesMayHavePorts) {
  EXPECT_TRUE(upstream_address("10.0.0.1:5353"));
  EXPECT_TRUE(upstream_address("[::1]:5353"));
  EXPECT_TRUE(upstream_address("::1"));
  EXPECT_FALSE(upstream_address("10.0.0.1:99999"));
  EXPECT_FALSE(upstream_address("name"));
}

}  // namespace
}  // namespace compose::net::dns

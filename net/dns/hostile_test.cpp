// An upstream that does everything an upstream should not, for a while: with LONG=1 for ten minutes. Whatever it sends,
// an asker hears the true address or a failure, now and later from the cache; nothing grows.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <random>

#include "net/dns/server.hpp"
#include "net/dns/test_messages.hpp"

namespace compose::net::dns {
namespace {

using namespace std::chrono_literals;
using testing::address_reply;
using testing::describe;
using testing::query;

struct Bound {
  UniqueFd fd;
  sockaddr_in address{};
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

std::size_t resident_kib() {
  std::ifstream file{"/proc/self/statm"};
  std::size_t all = 0, resident = 0;
  file >> all >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) / 1024;
}

/// Name number i has the address 192.0.2.(i % 250).
std::string true_address(unsigned number) { return "192.0.2." + std::to_string(number % 250); }
constexpr const char* kForged = "203.0.113.66";

class Hostile : public ::testing::Test {
 protected:
  void SetUp() override {
    upstream_ = bind_loopback(SOCK_DGRAM);
    udp_ = bind_loopback(SOCK_DGRAM);
    tcp_ = bind_loopback(SOCK_STREAM);
    const std::string at = "127.0.0.1:" + std::to_string(ntohs(upstream_.address.sin_port));
    server_ = std::make_unique<Server>(loop_, Server::Options{{at}, 20ms, 2, 200});
    server_->serve("c", {UniqueFd{::dup(udp_.fd.get())}, UniqueFd{::dup(tcp_.fd.get())}}, std::make_shared<ZoneView>());
    watch_ = loop_.watch_readable(upstream_.fd.get(), [this] { misbehave(); });
  }

  void send(const Bytes& bytes, const sockaddr_in& to) {
    ::sendto(upstream_.fd.get(), bytes.data(), bytes.size(), MSG_DONTWAIT, reinterpret_cast<const sockaddr*>(&to),
             sizeof to);
  }

  static Bytes with_cname_loop(const Bytes& asked) {
    Bytes reply = asked;
    reply[2] |= 0x80;
    reply[7] = 2;
    const std::uint8_t to_itself[] = {0xc0, 0x0c, 0, 5, 0, 1, 0, 0, 0, 60, 0, 2, 0xc0, 0x0c};
    for (int i = 0; i < 2; ++i) reply.insert(reply.end(), std::begin(to_itself), std::end(to_itself));
    return reply;
  }

  static Bytes huge(const Bytes& asked, const std::string& address) {
    const auto parsed = parse_query(asked);
    ReplyWriter writer{asked, parsed.query, kNoError, false};
    for (int i = 0; i < 4000; ++i) writer.add_address(*IpAddress::parse(address), 60);
    return std::move(writer).finish(65000);
  }

  void misbehave() {
    Bytes asked(4096);
    sockaddr_in from{};
    socklen_t size = sizeof from;
    const ssize_t got =
        ::recvfrom(upstream_.fd.get(), asked.data(), asked.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (got < 0) return;
    asked.resize(static_cast<std::size_t>(got));
    const auto parsed = parse_query(asked);
    ASSERT_EQ(parsed.state, ParsedQuery::State::ok);
    const auto number = static_cast<unsigned>(std::stoul(parsed.query.name.substr(1)));
    const Bytes good = address_reply(asked, true_address(number));
    Bytes forged = address_reply(asked, kForged);
    const auto kind = static_cast<unsigned>(random_() % 12);
    switch (kind) {
      case 0:  // wrong ids, many of them
        for (int i = 0; i < 50; ++i) {
          forged[0] = static_cast<std::uint8_t>(random_());
          forged[1] = static_cast<std::uint8_t>(asked[1] + 1 + i);
          send(forged, from);
        }
        break;
      case 1: {  // another question
        const Bytes other = query("bank.example", kTypeA, 0, read_u16(asked, 0));
        send(address_reply(other, kForged), from);
        break;
      }
      case 2:  // the question back
        send(asked, from);
        break;
      case 3: {  // any bytes
        Bytes noise(random_() % 600);
        for (auto& byte : noise) byte = static_cast<std::uint8_t>(random_());
        send(noise, from);
        break;
      }
      case 4: {  // cut anywhere
        Bytes cut = forged;
        cut.resize(random_() % cut.size());
        send(cut, from);
        break;
      }
      case 5:
        send(huge(asked, true_address(number)), from);
        return;
      case 6:
        send(with_cname_loop(asked), from);
        return;
      case 7: {  // more records promised than there are
        forged[7] = 200;
        send(forged, from);
        break;
      }
      case 8:
        return;  // silence
      case 9: {  // from another port
        const Bound stranger = bind_loopback(SOCK_DGRAM);
        ::sendto(stranger.fd.get(), forged.data(), forged.size(), 0, reinterpret_cast<const sockaddr*>(&from),
                 sizeof from);
        break;
      }
      default:
        break;
    }
    send(good, from);
  }

  Bytes ask(unsigned number) {
    const UniqueFd client{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    ::connect(client.get(), reinterpret_cast<const sockaddr*>(&udp_.address), sizeof udp_.address);
    const Bytes bytes =
        query("n" + std::to_string(number) + ".example", kTypeA, 0, static_cast<unsigned>(random_() % 65536));
    ::send(client.get(), bytes.data(), bytes.size(), 0);
    Bytes reply(65536);
    ssize_t got = -1;
    auto watch = loop_.watch_readable(client.get(), [&] {
      got = ::recv(client.get(), reply.data(), reply.size(), 0);
      loop_.stop();
    });
    auto limit = loop_.call_after(5s, [&] { loop_.stop(); });
    loop_.run();
    reply.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    if (reply.size() >= 2) {
      EXPECT_EQ(read_u16(reply, 0), read_u16(bytes, 0));
    }
    return reply;
  }

  async::EventLoop loop_;
  Bound upstream_, udp_, tcp_;
  std::unique_ptr<Server> server_;
  async::Watch watch_;
  std::mt19937 random_{20260101};
};

TEST_F(Hostile, NoLieIsPassedOnOrKept) {
  const bool lengthy = std::getenv("LONG") != nullptr;
  const auto until = std::chrono::steady_clock::now() + (lengthy ? std::chrono::seconds{600} : std::chrono::seconds{2});
  constexpr unsigned kNames = 1000;
  unsigned asked = 0, answered = 0;
  std::size_t before = 0;
  while (std::chrono::steady_clock::now() < until && !HasFailure()) {
    const auto number = static_cast<unsigned>(random_() % kNames);
    const Bytes reply = ask(number);
    ASSERT_FALSE(reply.empty()) << "no answer at all";
    EXPECT_LE(reply.size(), kPlainUdpSize);
    const std::string text = describe(reply);
    EXPECT_EQ(text.find(kForged), std::string::npos) << text;
    const bool right = text.find(true_address(number)) != std::string::npos;
    const bool failed = text.starts_with("SERVFAIL") || text.find(" tc") != std::string::npos;
    const bool loop_of_cnames = reply.size() > kHeaderSize && reply[7] == 2;
    EXPECT_TRUE(right || failed || loop_of_cnames) << text;
    answered += right ? 1 : 0;
    if (++asked == 200) before = resident_kib();
  }
  EXPECT_GT(answered, asked / 2);
  EXPECT_GT(server_->counters().rejected_replies, 0U);
  if (before != 0) {
    EXPECT_LT(resident_kib(), before + 4096) << "memory grew over " << asked << " questions";
  }
  printf("%u questions, %u right answers, %llu replies rejected, %zu KiB\n", asked, answered,
         static_cast<unsigned long long>(server_->counters().rejected_replies), resident_kib());
}

}  // namespace
}  // namespace compose::net::dns

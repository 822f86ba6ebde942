// A thousand names and many queries: the answers are right and memory stays flat. LONG=1 asks a million times.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <thread>

#include "net/dns/server.hpp"
#include "net/dns/test_messages.hpp"

namespace compose::net::dns {
namespace {

UniqueFd bound(int type, sockaddr_in& address) {
  UniqueFd fd{::socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  if (type == SOCK_STREAM) {
    EXPECT_EQ(::listen(fd.get(), 8), 0);
  }
  socklen_t size = sizeof address;
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return fd;
}

long resident_kib() {
  std::ifstream file{"/proc/self/statm"};
  long all = 0, resident = 0;
  file >> all >> resident;
  return resident * ::sysconf(_SC_PAGESIZE) / 1024;
}

TEST(DnsLoad, AThousandNamesAndFlatMemory) {
  constexpr int kNames = 1000;
  const int queries = std::getenv("LONG") != nullptr ? 1'000'000 : 20'000;
  auto zone = std::make_shared<Zone>("net");
  for (int i = 0; i < kNames; ++i)
    zone->put({std::to_string(i),
               {"service-" + std::to_string(i)},
               {*IpAddress::parse(fmt::format("10.1.{}.{}", i / 250, 1 + i % 250))},
               true,
               {}});
  auto view = std::make_shared<ZoneView>();
  view->zones = {zone};
  sockaddr_in udp_at{}, tcp_at{};
  async::EventLoop loop;
  Server server{loop, std::vector<std::string>{}};
  server.serve("c", {bound(SOCK_DGRAM, udp_at), bound(SOCK_STREAM, tcp_at)}, view);

  long before = 0, after = 0;
  int wrong = 0;
  std::thread client{[&] {
    const UniqueFd fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    const timeval limit{5, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&udp_at), sizeof udp_at);
    Bytes reply(1500);
    for (int i = 0; i < queries; ++i) {
      const int number = i % kNames;
      const Bytes asked =
          testing::query("service-" + std::to_string(number), kTypeA, 0, static_cast<unsigned>(i) & 0xffff);
      // As a client does: an answer that comes late on a busy machine is not the next question's.
      ssize_t got = -1;
      for (int tries = 0; got < 0 && tries < 10; ++tries) {
        ::send(fd.get(), asked.data(), asked.size(), 0);
        do {
          got = ::recv(fd.get(), reply.data(), reply.size(), 0);
        } while (got >= 2 && read_u16(reply, 0) != (i & 0xffff));
      }
      const std::string wanted = fmt::format("NOERROR aa 10.1.{}.{}", number / 250, 1 + number % 250);
      if (got < 2 || testing::describe(ByteSpan{reply}.first(static_cast<std::size_t>(got))) != wanted) ++wrong;
      if (i == queries / 10) before = resident_kib();
    }
    after = resident_kib();
    loop.stop();
  }};
  loop.run();
  client.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_LE(after, before + 256) << "KiB after " << queries << " queries";
  printf("%d queries: %ld KiB, then %ld KiB\n", queries, before, after);
}

}  // namespace
}  // namespace compose::net::dns

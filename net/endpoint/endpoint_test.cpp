// Endpoints on the real kernel, in namespaces of the test's own.
#include "net/endpoint/endpoint.hpp"

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <chrono>
#include <fstream>
#include <iterator>

#include "net/endpoint/device.hpp"
#include "net/endpoint/netlink.hpp"
#include "net/testing/netns.hpp"

namespace compose::net::endpoint {
namespace {

void add_bridge(const std::string& name) {
  auto socket = netlink::Socket::open(NETLINK_ROUTE);
  COMPOSE_ASSERT_OK(socket);
  netlink::Batch batch;
  batch.message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, "bridge");
  ifinfomsg head{};
  head.ifi_flags = head.ifi_change = IFF_UP;
  batch.header(head);
  batch.text(IFLA_IFNAME, name);
  const auto info = batch.nest(IFLA_LINKINFO);
  batch.text(IFLA_INFO_KIND, "bridge");
  batch.end(info);
  COMPOSE_ASSERT_OK(socket->execute(batch));
}

Attachment attachment(int number) {
  Attachment made;
  made.bridge = "br-test";
  made.host_interface = "vctest" + std::to_string(number);
  made.interface = "eth0";
  made.mac = "02:42:0a:01:00:0" + std::to_string(number);
  made.addresses = {"10.1.0." + std::to_string(number) + "/24", "fd00:1::" + std::to_string(number) + "/64"};
  made.gateway4 = "10.1.0.254";
  made.gateway6 = "fd00:1::ff";
  made.default_route4 = made.default_route6 = true;
  return made;
}

std::string read_sysctl(const std::string& name) {
  std::ifstream file{"/proc/sys/net/" + name};
  return {std::istreambuf_iterator<char>{file}, {}};
}

/// A UDP echo between two namespaces: what `to` received.
std::string send_datagram(const testing::Netns& from, const testing::Netns& to, int family, const char* address) {
  std::string received;
  to.run([&] {
    const UniqueFd server{::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    sockaddr_storage local{};
    socklen_t size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    local.ss_family = static_cast<sa_family_t>(family);
    void* place = family == AF_INET ? static_cast<void*>(&reinterpret_cast<sockaddr_in*>(&local)->sin_addr)
                                    : static_cast<void*>(&reinterpret_cast<sockaddr_in6*>(&local)->sin6_addr);
    inet_pton(family, address, place);
    ASSERT_EQ(::bind(server.get(), reinterpret_cast<sockaddr*>(&local), size), 0) << std::strerror(errno);
    ASSERT_EQ(::getsockname(server.get(), reinterpret_cast<sockaddr*>(&local), &size), 0);
    from.run([&] {
      const UniqueFd client{::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
      ASSERT_EQ(::sendto(client.get(), "hello", 5, 0, reinterpret_cast<sockaddr*>(&local), size), 5)
          << std::strerror(errno);
    });
    const timeval limit{2, 0};
    ::setsockopt(server.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    char buffer[64];
    const ssize_t got = ::recv(server.get(), buffer, sizeof buffer, 0);
    if (got > 0) received.assign(buffer, static_cast<std::size_t>(got));
  });
  return received;
}

std::string path_of(const testing::Netns& space) { return "/proc/self/fd/" + std::to_string(space.fd()); }

TEST(Devices, KeepTheirAddressesUnderANewNameInAnotherNamespace) {
  COMPOSE_NETNS(host);
  COMPOSE_NETNS(container);
  host.run([&] {
    add_bridge("br-test");
    COMPOSE_ASSERT_OK(create_pair_in(attachment(1), host.fd()));  // eth0, here
    COMPOSE_ASSERT_OK(configure(std::vector<Attachment>{attachment(1)}));
    const std::vector<std::pair<std::string, std::string>> devices{{"eth0", "lan%d"}};
    COMPOSE_ASSERT_OK(move_devices(devices, path_of(container)));
    EXPECT_EQ(::if_nametoindex("eth0"), 0U);
  });
  container.run([&] {
    EXPECT_NE(::if_nametoindex("lan0"), 0U) << "the kernel counted";
    const UniqueFd socket{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    sockaddr_in address{};
    address.sin_family = AF_INET;
    inet_pton(AF_INET, "10.1.0.1", &address.sin_addr);
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0) << std::strerror(errno);
  });
}

TEST(Devices, AreRefusedWithTheirReason) {
  COMPOSE_NETNS(host);
  COMPOSE_NETNS(container);
  host.run([&] {
    const std::vector<std::pair<std::string, std::string>> missing{{"nothing0", "eth0"}};
    EXPECT_EQ(move_devices(missing, path_of(container)).error().message(),
              "the host has no network device \"nothing0\"");
    EXPECT_EQ(move_devices(missing, path_of(host)).error().message(),
              "the container has no network namespace of its own");
  });
}

TEST(Endpoint, TwoContainersOnABridgeReachEachOtherAtOnce) {
  COMPOSE_NETNS(host);
  COMPOSE_NETNS(first);
  COMPOSE_NETNS(second);
  host.run([&] {
    add_bridge("br-test");
    COMPOSE_ASSERT_OK(create_pair_in(attachment(1), first.fd()));
    COMPOSE_ASSERT_OK(create_pair_in(attachment(2), second.fd()));
  });
  const auto configure_one = [](int number) {
    const Attachment list[] = {attachment(number)};
    COMPOSE_ASSERT_OK(configure(list));
  };
  first.run([&] { configure_one(1); });
  second.run([&] { configure_one(2); });
  host.run([] {
    COMPOSE_ASSERT_OK(open_port(attachment(1)));
    COMPOSE_ASSERT_OK(open_port(attachment(2)));
  });
  EXPECT_EQ(send_datagram(first, second, AF_INET, "10.1.0.2"), "hello");
  EXPECT_EQ(send_datagram(first, second, AF_INET6, "fd00:1::2"), "hello");
  first.run([] {
    EXPECT_EQ(read_sysctl("ipv4/ip_unprivileged_port_start"), "0\n");
    EXPECT_EQ(read_sysctl("ipv6/conf/eth0/accept_ra"), "0\n");
  });
}

TEST(Endpoint, InterfacesWithoutIpv6AddressesComeWithIpv6Off) {
  COMPOSE_NETNS(host);
  COMPOSE_NETNS(container);
  Attachment only4 = attachment(1);
  only4.addresses = {"10.1.0.1/24"};
  only4.default_route6 = false;
  const Attachment list[] = {only4}, both[] = {only4, attachment(2)};
  container.run([&] {
    EXPECT_FALSE(ipv6_off_by_default({}));
    EXPECT_FALSE(ipv6_off_by_default(both)) << "one has an IPv6 address";
    EXPECT_EQ(read_sysctl("ipv6/conf/default/disable_ipv6"), "0\n");
    EXPECT_TRUE(ipv6_off_by_default(list));
    EXPECT_FALSE(ipv6_off_by_default(list)) << "off already: nothing to undo";
  });
  host.run([&] {
    add_bridge("br-test");
    COMPOSE_ASSERT_OK(create_pair_in(only4, container.fd()));
  });
  container.run([&] {
    EXPECT_EQ(read_sysctl("ipv6/conf/eth0/disable_ipv6"), "1\n");
    COMPOSE_ASSERT_OK(configure(list, true));
    EXPECT_EQ(read_sysctl("ipv6/conf/eth0/disable_ipv6"), "1\n");
    EXPECT_EQ(read_sysctl("ipv6/conf/default/disable_ipv6"), "0\n") << "those added later have it";
    EXPECT_EQ(read_sysctl("ipv6/conf/lo/disable_ipv6"), "0\n");
  });
}

TEST(Endpoint, AnInterfaceWithoutIpv6AddressHasIpv6Off) {
  COMPOSE_NETNS(host);
  COMPOSE_NETNS(container);
  Attachment only4 = attachment(1);
  only4.addresses = {"10.1.0.1/24"};
  only4.default_route6 = false;
  only4.sysctls = {{"ipv4.conf.IFNAME.log_martians", "1"}};
  host.run([&] {
    add_bridge("br-test");
    COMPOSE_ASSERT_OK(create_pair_in(only4, container.fd()));
  });
  container.run([&] {
    const Attachment list[] = {only4};
    COMPOSE_ASSERT_OK(configure(list));
    EXPECT_EQ(read_sysctl("ipv6/conf/eth0/disable_ipv6"), "1\n");
    EXPECT_EQ(read_sysctl("ipv4/conf/eth0/log_martians"), "1\n");
  });
}

TEST(Endpoint, AMissingBridgeIsNamed) {
  COMPOSE_NETNS(host);
  COMPOSE_NETNS(container);
  host.run([&] {
    const auto outcome = create_pair_in(attachment(1), container.fd());
    ASSERT_FALSE(outcome.ok());
    EXPECT_EQ(outcome.error().message(), "find the interface \"br-test\": No such device");
  });
}

TEST(Endpoint, ALeftoverHostInterfaceIsReplaced) {
  COMPOSE_NETNS(host);
  COMPOSE_NETNS(first);
  COMPOSE_NETNS(second);
  host.run([&] {
    add_bridge("br-test");
    COMPOSE_ASSERT_OK(create_pair_in(attachment(1), first.fd()));
    COMPOSE_EXPECT_OK(create_pair_in(attachment(1), second.fd()));
    COMPOSE_EXPECT_OK(remove_pair(attachment(1)));
    COMPOSE_EXPECT_OK(remove_pair(attachment(1)));
    EXPECT_EQ(::if_nametoindex("vctest1"), 0U);
  });
}

/// Asks 127.0.0.11:53 over `type` in this namespace while the resolver echoes: what came back, and from which port.
std::string ask_resolver(const ResolverSockets& sockets, int type) {
  const UniqueFd client{::socket(AF_INET, type | SOCK_CLOEXEC, 0)};
  sockaddr_in resolver{};
  resolver.sin_family = AF_INET;
  resolver.sin_port = htons(53);
  resolver.sin_addr.s_addr = htonl(0x7f00000b);
  const timeval limit{2, 0};
  ::setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  if (::connect(client.get(), reinterpret_cast<sockaddr*>(&resolver), sizeof resolver) != 0) return "connect failed";
  if (::send(client.get(), "question", 8, 0) != 8) return "send failed";
  char buffer[64];
  if (type == SOCK_DGRAM) {
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    const ssize_t got =
        ::recvfrom(sockets.udp.get(), buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&peer), &size);
    if (got < 0) return "the resolver received nothing";
    ::sendto(sockets.udp.get(), buffer, static_cast<std::size_t>(got), 0, reinterpret_cast<sockaddr*>(&peer), size);
  } else {
    const UniqueFd connection{::accept4(sockets.tcp.get(), nullptr, nullptr, SOCK_CLOEXEC)};
    if (!connection.valid()) return "the resolver accepted nothing";
    const ssize_t got = ::recv(connection.get(), buffer, sizeof buffer, 0);
    if (got < 0) return "the resolver received nothing";
    ::send(connection.get(), buffer, static_cast<std::size_t>(got), 0);
  }
  const ssize_t got = ::recv(client.get(), buffer, sizeof buffer, 0);
  return got < 0 ? "no reply" : std::string(buffer, static_cast<std::size_t>(got));
}

TEST(Endpoint, TheResolverAnswersAtPort53AndLeavesItFree) {
  COMPOSE_NETNS(container);
  container.run([] {
    COMPOSE_ASSERT_OK(configure({}));
    auto sockets = open_resolver();
    COMPOSE_ASSERT_OK(sockets);
    EXPECT_EQ(ask_resolver(*sockets, SOCK_DGRAM), "question");
    EXPECT_EQ(ask_resolver(*sockets, SOCK_STREAM), "question");

    // A DNS server of the container's own takes the whole port, and the resolver goes on answering.
    for (const int type : {SOCK_DGRAM, SOCK_STREAM}) {
      const UniqueFd own{::socket(AF_INET, type | SOCK_CLOEXEC, 0)};
      sockaddr_in any{};
      any.sin_family = AF_INET;
      any.sin_port = htons(53);
      EXPECT_EQ(::bind(own.get(), reinterpret_cast<sockaddr*>(&any), sizeof any), 0) << std::strerror(errno);
      EXPECT_EQ(ask_resolver(*sockets, type), "question");
    }
  });
}

TEST(Endpoint, ASecondContainerCostsLittle) {
  COMPOSE_NETNS(host);
  host.run([] { add_bridge("br-test"); });
  constexpr int kRounds = 5;
  double pair = 0, inside = 0, resolver = 0, port = 0;
  const auto since = [](auto start) {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  };
  for (int round = 1; round <= kRounds; ++round) {
    COMPOSE_NETNS(container);
    host.run([&] {
      const auto start = std::chrono::steady_clock::now();
      COMPOSE_ASSERT_OK(create_pair_in(attachment(round), container.fd()));
      pair += since(start);
    });
    container.run([&] {
      const Attachment list[] = {attachment(round)};
      auto start = std::chrono::steady_clock::now();
      COMPOSE_ASSERT_OK(configure(list));
      inside += since(start);
      start = std::chrono::steady_clock::now();
      COMPOSE_ASSERT_OK(open_resolver());
      resolver += since(start);
    });
    host.run([&] {
      const auto start = std::chrono::steady_clock::now();
      COMPOSE_ASSERT_OK(open_port(attachment(round)));
      port += since(start);
    });
  }
  RecordProperty("pair_ms", std::to_string(pair / kRounds));
  RecordProperty("configure_ms", std::to_string(inside / kRounds));
  RecordProperty("resolver_ms", std::to_string(resolver / kRounds));
  printf("create_pair %.2f ms, configure %.2f ms, open_resolver %.2f ms, open_port %.2f ms\n", pair / kRounds,
         inside / kRounds, resolver / kRounds, port / kRounds);
  // Generous: a busy or emulated machine must not fail the test; a timer in the path would.
  EXPECT_LT((pair + inside + resolver) / kRounds, 3000);
}

}  // namespace
}  // namespace compose::net::endpoint

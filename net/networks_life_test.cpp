// Networks come, are repaired, are shared by supervisors and go, on the real kernel.
#include "net/testing/networks_fixture.hpp"

namespace compose::net {
namespace {

using namespace testing;

TEST_F(NetworksTest, PortsComeBackAfterTheRulesetWasFlushedAndTheSupervisorReplaced) {
  COMPOSE_NETNS(web_netns);
  Container web{web_netns, "aa"};
  const Network front = ensure(spec("front"));
  attach(web, "web", {front});
  COMPOSE_ASSERT_OK(publish({publication(web, 8080)}));
  const WhoAmI server{web_netns, "0.0.0.0", 80};
  host_->run([&] {
    auto socket = netlink::Socket::open(NETLINK_NETFILTER);
    nft::Transaction flush;
    const auto chains = nft::base_chains(*socket);
    for (const auto& chain : *chains) flush.remove_table(chain.family, chain.table);
    COMPOSE_ASSERT_OK(flush.commit(*socket));
  });
  EXPECT_EQ(ask(*outside_, kHostAddress, 8080), "refused");
  networks_ = std::make_unique<Networks>(state_.path(), run_.path());
  EXPECT_EQ(ensure(spec("front")).id, front.id);
  EXPECT_EQ(ask(*outside_, kHostAddress, 8080), kOutsideAddress);
  COMPOSE_EXPECT_OK(publish({publication(web, 8080)}));
  EXPECT_EQ(ask(*outside_, kHostAddress, 8080), kOutsideAddress);
}

TEST_F(NetworksTest, NothingIsLeftAfterTheLastNetwork) {
  COMPOSE_NETNS(web_netns);
  Container web{web_netns, "aa"};
  std::vector<std::string> before;
  host_->run([&] {
    const auto links = list_links();
    for (const Link& link : *links) before.push_back(link.name);
    COMPOSE_ASSERT_OK(write_net_sysctl("ipv4/ip_forward", "0"));  // a namespace begins with the machine's setting
    COMPOSE_ASSERT_OK(write_net_sysctl("ipv6/conf/all/forwarding", "0"));
  });
  const Network front = ensure(spec("front")), back = ensure(spec("back"));
  attach(web, "web", {front, back});
  COMPOSE_ASSERT_OK(publish({publication(web, 8080)}));
  host_->run([&] {
    EXPECT_EQ(read_net_sysctl("ipv4/ip_forward"), "1");
    const auto busy = networks_->remove("shop_front");
    ASSERT_FALSE(busy.ok());
    EXPECT_EQ(busy.error().message(), "network \"shop_front\" is in use by shop/web/1");
    const std::string ids[] = {web.id};
    COMPOSE_ASSERT_OK(networks_->unpublish(ids));
    COMPOSE_ASSERT_OK(networks_->release("shop"));
    const std::string names[] = {"shop_front", "shop_back"};
    COMPOSE_ASSERT_OK(networks_->remove_all(names));  // the container still exists: its interfaces go too
    std::vector<std::string> after;
    const auto links = list_links();
    for (const Link& link : *links) after.push_back(link.name);
    EXPECT_EQ(after, before);
    EXPECT_EQ(read_net_sysctl("ipv4/ip_forward"), "0");
    EXPECT_EQ(read_net_sysctl("ipv6/conf/all/forwarding"), "0");
    auto socket = netlink::Socket::open(NETLINK_NETFILTER);
    EXPECT_TRUE(nft::base_chains(*socket)->empty());
    const auto routes = list_routes();
    for (const Route& route : *routes) EXPECT_EQ(route.interface, "wire");
  });
  EXPECT_TRUE(sys::list_directory(state_.path() + "/networks")->empty());
  EXPECT_TRUE(sys::list_directory(run_.path())->empty());
}

/// Forwarding belongs to the host: it is put back with the last network of all state roots, not of each.
TEST_F(NetworksTest, SettingsOfTheHostComeBackWithTheLastOfSeveralStateRoots) {
  const TempDirectory other_state, other_run;
  host_->run([&] {
    // The loopback stands for hardware: a device without a kind.
    COMPOSE_ASSERT_OK(write_net_sysctl("ipv4/ip_forward", "0"));
    COMPOSE_ASSERT_OK(write_net_sysctl("ipv6/conf/all/forwarding", "0"));
    COMPOSE_ASSERT_OK(write_net_sysctl("ipv6/conf/lo/accept_ra", "1"));
    const auto now = [] {
      return *read_net_sysctl("ipv4/ip_forward") + *read_net_sysctl("ipv6/conf/all/forwarding") +
             *read_net_sysctl("ipv6/conf/lo/accept_ra");
    };
    Networks other{other_state.path(), other_run.path()};
    for (const bool first_goes_first : {true, false}) {
      for (const bool flushed : {false, true}) {
        COMPOSE_ASSERT_OK(networks_->ensure(spec("one", false, false)));
        EXPECT_EQ(now(), "101");
        COMPOSE_ASSERT_OK(other.ensure(spec("two")));
        EXPECT_EQ(now(), "112");
        if (flushed) {
          auto socket = netlink::Socket::open(NETLINK_NETFILTER);
          nft::Transaction flush;
          const auto chains = nft::base_chains(*socket);
          for (const auto& chain : *chains) flush.remove_table(chain.family, chain.table);
          flush.remove_table(nft::Family::inet, "compose-host");
          COMPOSE_ASSERT_OK(flush.commit(*socket));
          EXPECT_TRUE(networks_->repair().value());
          EXPECT_TRUE(other.repair().value());
        }
        COMPOSE_ASSERT_OK(first_goes_first ? networks_->remove("shop_one") : other.remove("shop_two"));
        EXPECT_EQ(now(), "112") << "the other one still forwards";
        COMPOSE_ASSERT_OK(first_goes_first ? other.remove("shop_two") : networks_->remove("shop_one"));
        EXPECT_EQ(now(), "001");
        auto socket = netlink::Socket::open(NETLINK_NETFILTER);
        EXPECT_FALSE(nft::chain_exists(*socket, nft::Family::inet, "compose-host", "former-settings").value());
      }
    }
  });
  for (const std::string& run : {run_.path(), other_run.path()}) EXPECT_TRUE(sys::list_directory(run)->empty());
}

TEST_F(NetworksTest, SeveralSupervisorsAtOnceDoNotGetInEachOthersWay) {
  constexpr int kProjects = 8, kContainers = 10;
  std::vector<std::thread> supervisors;
  std::atomic<int> failures = 0;
  for (int project = 0; project < kProjects; ++project)
    supervisors.emplace_back([&, project] {
      if (::setns(host_->fd(), CLONE_NEWNET) != 0) return;
      Networks networks{state_.path(), run_.path()};
      const std::string name = "p" + std::to_string(project);
      NetworkSpec wanted = spec(name, false, false);
      wanted.project = name;
      if (!networks.ensure(wanted).ok()) ++failures;
      for (int i = 0; i < kContainers; ++i) {
        const std::string id = std::string(1, static_cast<char>('a' + project)) + std::to_string(i) + "0123456789";
        const auto lease = networks.lease({wanted.name, name + "/s/" + std::to_string(i), id, {}, {}, {}});
        Publication port;
        port.project = name;
        port.container_id = id;
        port.container_ip = lease.ok() ? lease->ipv4() : "";
        port.container_port = 80;
        const auto published = networks.publish({port, port});
        if (!published.ok()) ++failures;
      }
      if (!networks.sweep(name, {}).ok() || !networks.release(name).ok() || !networks.remove(wanted.name).ok())
        ++failures;
    });
  for (std::thread& supervisor : supervisors) supervisor.join();
  EXPECT_EQ(failures, 0);
  host_->run([&] {
    EXPECT_TRUE(networks_->list()->empty());
    auto socket = netlink::Socket::open(NETLINK_NETFILTER);
    EXPECT_TRUE(nft::base_chains(*socket)->empty());
  });
}

TEST_F(NetworksTest, FiftyNetworksAndTwoHundredContainersComeAndGo) {
  constexpr int kNetworks = 50, kContainers = 200;
  const auto now = [] { return std::chrono::steady_clock::now(); };
  const auto since = [&](auto start) { return std::chrono::duration<double, std::milli>(now() - start).count(); };
  host_->run([&] {
    auto start = now();
    std::vector<std::string> names;
    for (int i = 0; i < kNetworks; ++i) {
      const auto made = networks_->ensure(spec("n" + std::to_string(i), false, false));
      COMPOSE_ASSERT_OK(made);
      names.push_back(made->spec.name);
    }
    printf("%d networks: %.2f ms each\n", kNetworks, since(start) / kNetworks);
    const Network first = networks_->find(names[0])->value();
    std::vector<Netns> containers;
    std::vector<LeaseRequest> requests;
    std::vector<Publication> ports;
    std::vector<std::string> ids;
    for (int i = 0; i < kContainers; ++i) {
      containers.push_back(std::move(Netns::create()).value());
      ids.push_back(fmt::format("{:04d}", i) + std::string(60, '7'));
      requests.push_back({names[0], "shop/s/" + std::to_string(i), ids.back(), {}, {}, {}});
    }
    start = now();
    const auto leases = networks_->lease_all(requests);
    COMPOSE_ASSERT_OK(leases);
    printf("%d leases: %.2f ms in all\n", kContainers, since(start));
    double early = 0, late = 0;
    for (std::size_t i = 0; i < kContainers; ++i) {
      const auto attachment = networks_->attachment(first, (*leases)[i], ids[i], 0, true);
      start = now();
      COMPOSE_ASSERT_OK(endpoint::create_pair_in(*attachment, containers[i].fd()));
      (i < kContainers / 2 ? early : late) += since(start);
      Publication port;
      port.project = "shop";
      port.container_id = ids[i];
      port.container_ip = (*leases)[i].ipv4();
      port.container_port = 80;
      port.host_port = static_cast<std::uint16_t>(20000 + i);
      ports.push_back(port);
    }
    printf("interfaces: first half %.2f ms each, second half %.2f ms each\n", early * 2 / kContainers,
           late * 2 / kContainers);
    start = now();
    COMPOSE_ASSERT_OK(networks_->publish(ports));
    printf("%d ports: %.2f ms in all\n", kContainers, since(start));
    start = now();
    COMPOSE_ASSERT_OK(networks_->unpublish(ids));
    COMPOSE_ASSERT_OK(networks_->release("shop"));
    COMPOSE_ASSERT_OK(networks_->remove_all(names));
    printf("all removed: %.2f ms\n", since(start));
    EXPECT_EQ(list_links()->size(), 2U);  // lo and the wire
  });
}

TEST_F(NetworksTest, SweepRemovesWhatNoContainerOwns) {
  COMPOSE_NETNS(web_netns);
  COMPOSE_NETNS(gone_netns);
  Container web{web_netns, "aa"}, gone{gone_netns, "bb"};
  const Network front = ensure(spec("front"));
  attach(web, "web", {front});
  attach(gone, "gone", {front});
  COMPOSE_ASSERT_OK(publish({publication(web, 8080), publication(gone, 8081)}));
  host_->run([&] {
    const std::string live[] = {web.id};
    COMPOSE_ASSERT_OK(networks_->sweep("shop", live));
    const auto left = networks_->publications();
    ASSERT_EQ(left->size(), 1U);
    EXPECT_EQ((*left)[0].container_id, web.id);
    EXPECT_NE(::if_nametoindex(host_interface_name(web.id, 0).c_str()), 0U);
    EXPECT_EQ(::if_nametoindex(host_interface_name(gone.id, 0).c_str()), 0U);
  });
}

}  // namespace
}  // namespace compose::net

#include "net/dns/responder.hpp"

#include <gtest/gtest.h>

#include "net/testing/dns_text.hpp"

namespace compose::net::dns {
namespace {

using testing::bytes_of;
using testing::make_query;
using testing::QueryOptions;
using testing::reply_text;

IpAddress ip(const std::string& text) { return IpAddress::parse(text).value(); }

Member member(const std::string& id, std::vector<std::string> names, const std::vector<std::string>& addresses) {
  Member made;
  made.id = id;
  made.names = std::move(names);
  for (const std::string& address : addresses) made.addresses.push_back(ip(address));
  return made;
}

class ResponderTest : public ::testing::Test {
 protected:
  ResponderTest() {
    front_->put(member("1", {"shop-web-1", "web", "Www.Example.test"}, {"172.18.0.2", "fd00::2"}));
    front_->put(member("2", {"shop-web-2", "web"}, {"172.18.0.3", "fd00::3"}));
    back_->put(member("3", {"shop-db-1", "db"}, {"172.18.4.2"}));
    view_.zones = {front_, back_};
    view_.names["host.docker.internal"] = {ip("172.18.0.1")};
    view_.reserved = {"worker"};
    view_.search = {"corp.example"};
  }

  Responder::Decision decide(const std::string& query, Transport transport = Transport::udp,
                             std::uint32_t rotation = 0) {
    return Responder::decide(bytes_of(query), view_, transport, rotation);
  }
  std::string ask(const std::string& name, Type type, std::uint32_t rotation = 0, QueryOptions options = {}) {
    const auto decision = decide(make_query(name, type, options), Transport::udp, rotation);
    if (decision.action == Action::forward) return "forward";
    if (decision.action == Action::drop) return "drop";
    return reply_text(decision.bytes);
  }

  std::shared_ptr<Zone> front_ =
      std::make_shared<Zone>("shop_front", std::vector<Prefix>{Prefix::parse("172.18.0.0/22").value()});
  std::shared_ptr<Zone> back_ = std::make_shared<Zone>("shop_back");
  ZoneView view_;
};

TEST_F(ResponderTest, AnswersServicesContainersAndAliases) {
  EXPECT_EQ(ask("db", Type::a), "NOERROR\ndb A 172.18.4.2\n");
  EXPECT_EQ(ask("shop-web-2", Type::aaaa), "NOERROR\nshop-web-2 AAAA fd00::3\n");
  EXPECT_EQ(ask("www.example.TEST", Type::a), "NOERROR\nwww.example.TEST A 172.18.0.2\n");
  EXPECT_EQ(ask("db.shop_back", Type::a), "NOERROR\ndb.shop_back A 172.18.4.2\n");
  EXPECT_EQ(ask("db.corp.example", Type::a), "NOERROR\ndb.corp.example A 172.18.4.2\n");
  EXPECT_EQ(ask("host.docker.internal", Type::a), "NOERROR\nhost.docker.internal A 172.18.0.1\n");
  EXPECT_EQ(ask("DB", Type::any), "NOERROR\nDB A 172.18.4.2\n");
}

TEST_F(ResponderTest, ReplicasRotate) {
  EXPECT_EQ(ask("web", Type::a, 0), "NOERROR\nweb A 172.18.0.2\nweb A 172.18.0.3\n");
  EXPECT_EQ(ask("web", Type::a, 1), "NOERROR\nweb A 172.18.0.3\nweb A 172.18.0.2\n");
}

TEST_F(ResponderTest, AReplicaThatIsNotReadyIsLeftOut) {
  front_->set_ready("1", false);
  EXPECT_EQ(ask("web", Type::a), "NOERROR\nweb A 172.18.0.3\n");
  EXPECT_EQ(ask("shop-web-1", Type::a), "NOERROR\nshop-web-1 A 172.18.0.2\n");
  front_->set_ready("2", false);
  EXPECT_EQ(ask("web", Type::a), "NOERROR\nweb A 172.18.0.2\nweb A 172.18.0.3\n");
  front_->set_ready("1", true);
  EXPECT_EQ(ask("web", Type::a), "NOERROR\nweb A 172.18.0.2\n");
  front_->remove("1");
  EXPECT_EQ(ask("web", Type::a), "NOERROR\nweb A 172.18.0.3\n");
  front_->remove("2");
  EXPECT_EQ(ask("web", Type::a), "forward");
}

TEST_F(ResponderTest, ANameWithoutThatTypeIsNodataNeverNxdomainOrALeak) {
  EXPECT_EQ(ask("db", Type::aaaa), "NOERROR\n");
  EXPECT_EQ(ask("db", Type{15}), "NOERROR\n");
  EXPECT_EQ(ask("db", Type{65}), "NOERROR\n");
  EXPECT_EQ(ask("2.4.18.172.in-addr.arpa", Type::a), "NOERROR\n");
}

TEST_F(ResponderTest, WhatIsNotOursGoesOutsideUnlessItMustNot) {
  EXPECT_EQ(ask("example.com", Type::a), "forward");
  EXPECT_EQ(ask("worker", Type::a), "NXDOMAIN\n");
  EXPECT_EQ(ask("gone.shop_front", Type::a), "NXDOMAIN\n");
  EXPECT_EQ(ask("worker.corp.example", Type::a), "NXDOMAIN\n");
  view_.forward_outside = false;
  EXPECT_EQ(ask("example.com", Type::a), "NXDOMAIN\n");
  EXPECT_EQ(ask("8.8.8.8.in-addr.arpa", Type::ptr), "NXDOMAIN\n");
}

TEST_F(ResponderTest, AnswersReverseQueries) {
  EXPECT_EQ(ask("3.0.18.172.in-addr.arpa", Type::ptr), "NOERROR\n3.0.18.172.in-addr.arpa PTR shop-web-2.shop_front\n");
  const std::string six = "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa";
  EXPECT_EQ(ask(six, Type::ptr), "NOERROR\n" + six + " PTR shop-web-1.shop_front\n");
  EXPECT_EQ(ask("99.0.18.172.in-addr.arpa", Type::ptr), "NXDOMAIN\n");
  EXPECT_EQ(ask("8.8.8.8.in-addr.arpa", Type::ptr), "forward");
  EXPECT_EQ(ask("x.8.8.8.in-addr.arpa", Type::ptr), "forward");
}

TEST_F(ResponderTest, AnswersServicePorts) {
  Member api = member("9", {"shop-api-1", "api"}, {"172.18.0.9"});
  api.ports = {{"http", "tcp", 8080}};
  front_->put(api);
  EXPECT_EQ(ask("_http._tcp.api", Type::srv), "NOERROR\n_http._tcp.api SRV 8080 shop-api-1\nshop-api-1 A 172.18.0.9\n");
  EXPECT_EQ(ask("_ftp._tcp.api", Type::srv), "NXDOMAIN\n");
  EXPECT_EQ(ask("_http._tcp.example.com", Type::srv), "forward");
}

TEST_F(ResponderTest, LocalhostIsTheContainerItself) {
  EXPECT_EQ(ask("localhost", Type::a), "NOERROR\nlocalhost A 127.0.0.1\n");
  EXPECT_EQ(ask("app.localhost", Type::aaaa), "NOERROR\napp.localhost AAAA ::1\n");
}

TEST_F(ResponderTest, SpeaksEdns) {
  EXPECT_EQ(ask("db", Type::a, 0, {.edns_size = 4096}), "NOERROR\ndb A 172.18.4.2\nOPT 1232 version-bits 0\n");
  EXPECT_EQ(ask("db", Type::a, 0, {.edns_size = 4096, .edns_version = 1}), "NOERROR\nOPT 1232 version-bits 1\n");
}

TEST_F(ResponderTest, TruncatesOverUdpAndNotOverTcp) {
  for (int i = 0; i < 100; ++i)
    front_->put(member("many" + std::to_string(i), {"many"}, {"10.0.0." + std::to_string(i + 1)}));
  const auto small = decide(make_query("many", Type::a));
  EXPECT_LE(small.bytes.size(), 512U);
  EXPECT_TRUE(reply_text(small.bytes).starts_with("NOERROR truncated\nmany A 10.0.0.1\n"));
  const auto large = decide(make_query("many", Type::a, {.edns_size = 4096}));
  EXPECT_EQ(read_u16(large.bytes, 6), 100);
  const auto tcp = decide(make_query("many", Type::a), Transport::tcp);
  EXPECT_EQ(read_u16(tcp.bytes, 6), 100);
}

TEST_F(ResponderTest, KeepsIdAndQuestion) {
  const std::string query = make_query("Db", Type::a, {.id = 0xbeef});
  const auto decision = decide(query);
  EXPECT_EQ(read_u16(decision.bytes, 0), 0xbeef);
  EXPECT_TRUE(std::equal(query.begin() + 12, query.end(), decision.bytes.begin() + 12,
                         [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; }));
  EXPECT_EQ(read_u16(decision.bytes, 2), 0x8580);  // response, authoritative, recursion desired and available
}

TEST_F(ResponderTest, RefusesWhatIsNoQuery) {
  EXPECT_EQ(decide("").action, Action::drop);
  EXPECT_EQ(decide("short").action, Action::drop);
  std::string response = make_query("db", Type::a);
  response[2] = static_cast<char>(0x80);
  EXPECT_EQ(decide(response).action, Action::drop);
  std::string update = make_query("db", Type::a);
  update[2] = static_cast<char>(5 << 3);
  EXPECT_EQ(reply_text(decide(update).bytes), "NOTIMP\n");
  std::string torn = make_query("db", Type::a);
  torn.resize(torn.size() - 3);
  EXPECT_EQ(reply_text(decide(torn).bytes), "FORMERR\n");
  std::string pointer = make_query("", Type::a);
  pointer[12] = static_cast<char>(0xc0);
  EXPECT_EQ(reply_text(decide(pointer).bytes), "FORMERR\n");
  EXPECT_EQ(ask("version.bind", Type{16}, 0, {.klass = 3}), "REFUSED\n");
  // A label with a dot inside is not the name with two labels.
  std::string dotted = make_query("", Type::a);
  dotted.replace(12, 1, std::string{"\x0c"} + "db.shop_back" + std::string(1, '\0'));
  EXPECT_EQ(decide(dotted).action, Action::forward);
}

}  // namespace
}  // namespace compose::net::dns

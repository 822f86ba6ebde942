#include "net/dns/responder.hpp"

#include <gtest/gtest.h>

#include "net/dns/test_messages.hpp"

namespace compose::net::dns {
namespace {

using testing::describe;
using testing::query;

class DnsResponder : public ::testing::Test {
 protected:
  DnsResponder() {
    front_->put({"w1", {"app-web-1", "web"}, addresses({"10.1.0.2", "fd00::2"}), true, {{"http", "tcp", 80}}});
    front_->put({"w2", {"app-web-2", "web"}, addresses({"10.1.0.3"}), true, {{"http", "tcp", 80}}});
    back_->put({"d1", {"app-db-1", "db"}, addresses({"10.2.0.2"}), true, {}});
    view_.zones = {front_, back_};
    view_.names["host.docker.internal"] = addresses({"10.1.0.1"});
    view_.search = {"corp.example"};
  }
  static std::vector<IpAddress> addresses(const std::vector<std::string>& texts) {
    std::vector<IpAddress> list;
    for (const auto& text : texts) list.push_back(*IpAddress::parse(text));
    return list;
  }
  std::string ask(std::string_view name, unsigned type, std::uint32_t rotation = 0) {
    const auto decision = Responder::decide(query(name, type), view_, Transport::udp, rotation);
    if (decision.kind == Decision::Kind::forward) return "forward";
    return decision.kind == Decision::Kind::drop ? "drop" : describe(decision.bytes);
  }

  std::shared_ptr<Zone> front_ = std::make_shared<Zone>("app_front");
  std::shared_ptr<Zone> back_ = std::make_shared<Zone>("app_back");
  ZoneView view_;
};

TEST_F(DnsResponder, AnswersServicesContainersAndNetworkNames) {
  EXPECT_EQ(ask("db", kTypeA), "NOERROR aa 10.2.0.2");
  EXPECT_EQ(ask("DB.", kTypeA), "NOERROR aa 10.2.0.2");
  EXPECT_EQ(ask("app-web-2", kTypeA), "NOERROR aa 10.1.0.3");
  EXPECT_EQ(ask("db.app_back", kTypeA), "NOERROR aa 10.2.0.2");
  EXPECT_EQ(ask("host.docker.internal", kTypeA), "NOERROR aa 10.1.0.1");
}

TEST_F(DnsResponder, ReplicasTakeTurns) {
  EXPECT_EQ(ask("web", kTypeA, 0), "NOERROR aa 10.1.0.2 10.1.0.3");
  EXPECT_EQ(ask("web", kTypeA, 1), "NOERROR aa 10.1.0.3 10.1.0.2");
}

TEST_F(DnsResponder, NamesAndAddressesOfTheProjectAreNeverAskedOutside) {
  const auto zone = std::make_shared<Zone>("app_mid", std::vector<Prefix>{*Prefix::parse("10.3.0.0/24")});
  view_.zones.push_back(zone);
  view_.reserved = std::make_shared<std::set<std::string>>(std::set<std::string>{"worker"});
  EXPECT_EQ(ask("worker", kTypeA), "NXDOMAIN aa");
  EXPECT_EQ(ask("worker.corp.example", kTypeA), "NXDOMAIN aa");
  EXPECT_EQ(ask("gone.app_mid", kTypeA), "NXDOMAIN aa");
  EXPECT_EQ(ask("9.0.3.10.in-addr.arpa", kTypePtr), "NXDOMAIN aa");
  EXPECT_EQ(ask("9.0.9.10.in-addr.arpa", kTypePtr), "forward");
  EXPECT_EQ(ask("worker.example", kTypeA), "forward");
}

TEST_F(DnsResponder, AKnownNameWithoutTheTypeIsNoData) {
  EXPECT_EQ(ask("db", kTypeAaaa), "NOERROR aa");
  EXPECT_EQ(ask("db", 15), "NOERROR aa");
  EXPECT_EQ(ask("web", kTypeAaaa), "NOERROR aa fd00::2");
}

TEST_F(DnsResponder, AMemberThatIsNotReadyIsLeftOutWhileAnotherIs) {
  front_->put({"w1", {"app-web-1", "web"}, addresses({"10.1.0.2"}), false, {}});
  EXPECT_EQ(ask("web", kTypeA), "NOERROR aa 10.1.0.3");
  EXPECT_EQ(ask("app-web-1", kTypeA), "NOERROR aa 10.1.0.2");
  front_->remove("w2");
  EXPECT_EQ(ask("web", kTypeA), "NOERROR aa 10.1.0.2");
}

TEST_F(DnsResponder, SearchDomainsOfTheHostDoNotHideNames) {
  EXPECT_EQ(ask("db.corp.example", kTypeA), "NOERROR aa 10.2.0.2");
  EXPECT_EQ(ask("nobody.corp.example", kTypeA), "forward");
}

TEST_F(DnsResponder, AddressesLeadBackToNames) {
  EXPECT_EQ(ask("2.0.2.10.in-addr.arpa", kTypePtr), "NOERROR aa app-db-1.app_back");
  EXPECT_EQ(ask("2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa", kTypePtr),
            "NOERROR aa app-web-1.app_front");
  EXPECT_EQ(ask("8.8.8.8.in-addr.arpa", kTypePtr), "forward");
}

TEST_F(DnsResponder, ServicesHavePortsAndTheirAddresses) {
  EXPECT_EQ(ask("_http._tcp.web", kTypeSrv),
            "NOERROR aa app-web-1.app_front:80 app-web-2.app_front:80 10.1.0.2 fd00::2 10.1.0.3");
  EXPECT_EQ(ask("_smtp._tcp.web", kTypeSrv), "NOERROR aa");
}

TEST_F(DnsResponder, TheRestGoesOutside) {
  EXPECT_EQ(ask("example.com", kTypeA), "forward");
  EXPECT_EQ(ask("nobody", kTypeA), "forward");
}

TEST_F(DnsResponder, AnInternalNetworkAsksNobody) {
  view_.forward_outside = false;
  EXPECT_EQ(ask("example.com", kTypeA), "NXDOMAIN aa");
  EXPECT_EQ(ask("8.8.8.8.in-addr.arpa", kTypePtr), "NXDOMAIN aa");
}

TEST_F(DnsResponder, OtherOpcodesAndClassesAreRefused) {
  Bytes update = query("db", kTypeA);
  update[2] = 5 << 3;
  EXPECT_EQ(describe(Responder::decide(update, view_, Transport::udp, 0).bytes), "NOTIMP");
  Bytes chaos = query("db", kTypeA);
  chaos.back() = 3;
  EXPECT_EQ(describe(Responder::decide(chaos, view_, Transport::udp, 0).bytes), "REFUSED");
}

TEST_F(DnsResponder, NoBytesMakeItFail) {
  // Every single-byte change of a whole query, and every cut.
  const Bytes good = query("_http._tcp.web", kTypeSrv, 1232);
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (unsigned value = 0; value < 256; ++value) {
      Bytes bytes = good;
      bytes[at] = static_cast<std::uint8_t>(value);
      const auto decision = Responder::decide(bytes, view_, Transport::tcp, value);
      EXPECT_LE(decision.bytes.size(), kLargestMessage);
    }
    Responder::decide(ByteSpan{good}.first(at), view_, Transport::udp, 0);
  }
}

}  // namespace
}  // namespace compose::net::dns

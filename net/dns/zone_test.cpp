#include "net/dns/zone.hpp"

#include <gtest/gtest.h>

namespace compose::net::dns {
namespace {

Member member(const std::string& id, std::vector<std::string> names, const std::string& address) {
  return {id, std::move(names), {*IpAddress::parse(address)}, true, {}};
}

TEST(DnsZone, KnowsMembersByNameAndByNameInTheNetwork) {
  Zone zone{"app_Default"};
  zone.put(member("1", {"Web", "app-web-1"}, "10.0.0.2"));
  ASSERT_NE(zone.find("web"), nullptr);
  EXPECT_NE(zone.find("web.app_default"), nullptr);
  EXPECT_EQ(zone.find("db"), nullptr);
  EXPECT_EQ(zone.by_address(*IpAddress::parse("10.0.0.2"))->id, "1");
}

TEST(DnsZone, ReplacingAMemberForgetsItsOldNamesAndAddresses) {
  Zone zone{"n"};
  zone.put(member("1", {"web", "old"}, "10.0.0.2"));
  zone.put(member("1", {"web"}, "10.0.0.3"));
  EXPECT_EQ(zone.find("web")->size(), 1U);
  EXPECT_EQ(zone.find("old"), nullptr);
  EXPECT_EQ(zone.by_address(*IpAddress::parse("10.0.0.2")), nullptr);
}

TEST(DnsZone, AnAddressThatHasMovedOnStaysWithItsNewOwner) {
  Zone zone{"n"};
  zone.put(member("1", {"a"}, "10.0.0.2"));
  zone.put(member("2", {"b"}, "10.0.0.2"));
  zone.remove("1");
  EXPECT_EQ(zone.by_address(*IpAddress::parse("10.0.0.2"))->id, "2");
  zone.remove("2");
  EXPECT_TRUE(zone.empty());
}

}  // namespace
}  // namespace compose::net::dns

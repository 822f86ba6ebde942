#include "net/dns/cache.hpp"

#include <gtest/gtest.h>

#include "net/testing/dns_text.hpp"

namespace compose::net::dns {
namespace {

using testing::bytes_of;
using testing::make_query;

/// A reply to `query` with one A record.
std::string reply_to(const std::string& query, std::uint32_t ttl) {
  std::string reply = query;
  reply[2] = static_cast<char>(0x81);
  reply[3] = static_cast<char>(0x80);
  reply[7] = 1;
  reply += std::string{"\xc0\x0c\0\1\0\1", 6};
  std::uint8_t number[4];
  write_u32(number, ttl);
  reply.append(reinterpret_cast<const char*>(number), 4);
  reply += std::string{"\0\4\x0a\0\0\1", 6};
  return reply;
}

/// A reply that says the name does not exist, with an SOA.
std::string negative_to(const std::string& query, std::uint32_t ttl, std::uint32_t minimum) {
  std::string reply = query;
  reply[2] = static_cast<char>(0x81);
  reply[3] = static_cast<char>(0x83);
  reply[9] = 1;
  reply += std::string{"\0\0\6\0\1", 5};
  std::uint8_t number[4];
  write_u32(number, ttl);
  reply.append(reinterpret_cast<const char*>(number), 4);
  reply += std::string{"\0\x16\0\0", 4} + std::string(16, '\1');
  write_u32(number, minimum);
  return reply.append(reinterpret_cast<const char*>(number), 4);
}

TEST(InspectReply, AcceptsOnlyAnswersToTheQuestion) {
  const std::string query = make_query("example.com", Type::a);
  EXPECT_EQ(inspect_reply(bytes_of(reply_to(query, 60)), bytes_of(query))->ttl, 60U);
  EXPECT_TRUE(inspect_reply(bytes_of(reply_to(make_query("EXAMPLE.com", Type::a), 60)), bytes_of(query)));
  EXPECT_FALSE(inspect_reply(bytes_of(reply_to(make_query("example.org", Type::a), 60)), bytes_of(query)));
  EXPECT_FALSE(inspect_reply(bytes_of(reply_to(make_query("example.com", Type::aaaa), 60)), bytes_of(query)));
  EXPECT_FALSE(inspect_reply(bytes_of(query), bytes_of(query))) << "a query is no reply";
  const std::string whole = reply_to(query, 60);
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(inspect_reply(bytes_of(whole.substr(0, size)), bytes_of(query))) << size;
}

TEST(InspectReply, NegativeAnswersLastAsLongAsTheSoaSays) {
  const std::string query = make_query("nowhere.example", Type::a);
  EXPECT_EQ(inspect_reply(bytes_of(negative_to(query, 300, 60)), bytes_of(query))->ttl, 60U);
  EXPECT_EQ(inspect_reply(bytes_of(negative_to(query, 30, 60)), bytes_of(query))->ttl, 30U);
  std::string without_soa = query;
  without_soa[2] = static_cast<char>(0x81);
  without_soa[3] = static_cast<char>(0x83);
  EXPECT_EQ(inspect_reply(bytes_of(without_soa), bytes_of(query))->ttl, 0U);
}

TEST(Cache, LowersTtlsAndForgets) {
  const std::string query = make_query("example.com", Type::a);
  const std::string reply = reply_to(query, 60);
  const auto facts = inspect_reply(bytes_of(reply), bytes_of(query));
  ASSERT_TRUE(facts);
  Cache cache{2};
  cache.put("k", bytes_of(reply), *facts, 1000);
  std::vector<std::uint8_t> out(512);
  ASSERT_EQ(cache.get("k", 1010, out), reply.size());
  EXPECT_EQ(read_u32(out, facts->ttl_offsets.at(0)), 50U);
  EXPECT_EQ(cache.get("other", 1010, out), 0U);
  EXPECT_EQ(cache.get("k", 1060, out), 0U);
  EXPECT_EQ(cache.size(), 0U);
}

TEST(Cache, KeepsTheMostRecentlyUsed) {
  const std::string query = make_query("example.com", Type::a);
  const std::string reply = reply_to(query, 60);
  const auto facts = inspect_reply(bytes_of(reply), bytes_of(query));
  Cache cache{2};
  std::vector<std::uint8_t> out(512);
  cache.put("a", bytes_of(reply), *facts, 0);
  cache.put("b", bytes_of(reply), *facts, 0);
  EXPECT_NE(cache.get("a", 1, out), 0U);
  cache.put("c", bytes_of(reply), *facts, 1);
  EXPECT_EQ(cache.get("b", 1, out), 0U);
  EXPECT_NE(cache.get("a", 1, out), 0U);
  EXPECT_EQ(cache.size(), 2U);
}

}  // namespace
}  // namespace compose::net::dns

#include "net/dns/cache.hpp"

#include <gtest/gtest.h>

#include "net/dns/test_messages.hpp"

namespace compose::net::dns {
namespace {

using namespace std::chrono_literals;
using testing::address_reply;
using testing::describe;
using testing::query;

class DnsCache : public ::testing::Test {
 protected:
  std::string key(const Bytes& asked) { return Cache::key(parse_query(asked).query, asked, "u"); }
  std::optional<Bytes> get(const Bytes& asked, std::chrono::seconds later) {
    return cache_.get(key(asked), asked, parse_query(asked).query, start_ + later);
  }
  Cache cache_{2};
  Cache::Time start_ = std::chrono::steady_clock::now();
};

TEST_F(DnsCache, KeepsAReplyForItsTtlAndCountsItDown) {
  const Bytes asked = query("example.com", kTypeA);
  cache_.put(key(asked), address_reply(asked, "192.0.2.1", 60), start_);
  const auto kept = get(query("EXAMPLE.com", kTypeA, 0, 0x9999), 20s);
  ASSERT_TRUE(kept);
  EXPECT_EQ(read_u16(*kept, 0), 0x9999);
  EXPECT_EQ((*kept)[kHeaderSize + 1], 'E');  // the asker's own spelling
  EXPECT_EQ(find_records(*kept)->front().ttl, 40U);
  EXPECT_FALSE(get(asked, 60s));
}

TEST_F(DnsCache, TypesAreKeptApart) {
  const Bytes asked = query("example.com", kTypeA);
  cache_.put(key(asked), address_reply(asked, "192.0.2.1"), start_);
  EXPECT_FALSE(get(query("example.com", kTypeAaaa), 0s));
  EXPECT_FALSE(get(query("example.com", kTypeA, 1232), 0s));
}

TEST_F(DnsCache, FailuresAndTtlZeroAreNotKept) {
  const Bytes asked = query("example.com", kTypeA);
  cache_.put(key(asked), address_reply(asked, "192.0.2.1", 0), start_);
  EXPECT_FALSE(get(asked, 0s));
  Bytes failure = address_reply(asked, "192.0.2.1");
  failure[3] = (failure[3] & 0xf0) | kServerFailure;
  cache_.put(key(asked), failure, start_);
  EXPECT_FALSE(get(asked, 0s));
}

TEST_F(DnsCache, TheLeastUsedGoesFirst) {
  for (const char* name : {"a", "b"}) {
    const Bytes asked = query(name, kTypeA);
    cache_.put(key(asked), address_reply(asked, "192.0.2.1"), start_);
  }
  EXPECT_TRUE(get(query("a", kTypeA), 1s));
  const Bytes third = query("c", kTypeA);
  cache_.put(key(third), address_reply(third, "192.0.2.1"), start_);
  EXPECT_EQ(cache_.size(), 2U);
  EXPECT_FALSE(get(query("b", kTypeA), 1s));
  EXPECT_TRUE(get(query("a", kTypeA), 1s));
}

}  // namespace
}  // namespace compose::net::dns

#include "net/dns/message.hpp"

#include <gtest/gtest.h>

#include "net/dns/test_messages.hpp"

namespace compose::net::dns {
namespace {

using testing::describe;
using testing::query;
using State = ParsedQuery::State;

TEST(DnsMessage, ReadsAQuestion) {
  const Bytes bytes = query("WWW.Example.COM", kTypeAaaa, 4096);
  const auto parsed = parse_query(bytes);
  ASSERT_EQ(parsed.state, State::ok);
  EXPECT_EQ(parsed.query.id, 0x1234);
  EXPECT_EQ(parsed.query.name, "www.example.com");
  EXPECT_EQ(parsed.query.type, kTypeAaaa);
  EXPECT_TRUE(parsed.query.edns);
  EXPECT_EQ(parsed.query.udp_size, 4096U);
}

TEST(DnsMessage, EveryCutOfAQueryIsRefusedOrIgnored) {
  const Bytes bytes = query("a.example", kTypeA, 1232);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto parsed = parse_query(ByteSpan{bytes}.first(size));
    EXPECT_EQ(parsed.state, size < kHeaderSize ? State::ignore : State::format_error) << size;
  }
}

TEST(DnsMessage, ResponsesAreNoQueries) {
  Bytes bytes = query("a", kTypeA);
  bytes[2] |= 0x80;
  EXPECT_EQ(parse_query(bytes).state, State::ignore);
}

TEST(DnsMessage, PointerLoopsEnd) {
  Bytes bytes = query("", kTypeA);
  bytes.resize(kHeaderSize);
  bytes.insert(bytes.end(), {0xc0, 0x0c, 0, 1, 0, 1});
  EXPECT_EQ(parse_query(bytes).state, State::format_error);
}

TEST(DnsMessage, AQuestionsNameIsNotElsewhere) {
  // A pointer into the header whose last byte is 0, as the end of a name is: found by the fuzzer.
  Bytes bytes = query("a", kTypeA);
  bytes[14] = 0xc0;
  bytes.insert(bytes.begin() + 15, 0);
  EXPECT_EQ(parse_query(bytes).state, ParsedQuery::State::format_error);
}

TEST(DnsMessage, DotsInsideALabelAreNotSeparators) {
  Bytes bytes = query("", kTypeA);
  bytes.resize(kHeaderSize);
  bytes.insert(bytes.end(), {3, 'a', '.', 'b', 0, 0, 1, 0, 1});
  EXPECT_EQ(parse_query(bytes).query.name, "a\\.b");
}

TEST(DnsMessage, AReplyThatIsTooLongIsCutAndSaysSo) {
  const Bytes bytes = query("a", kTypeA);
  const auto parsed = parse_query(bytes);
  ReplyWriter writer{bytes, parsed.query, kNoError, true};
  for (unsigned i = 0; i < 100; ++i) writer.add_address(IpAddress::v4(0x0a000000 + i), 5);
  const Bytes reply = std::move(writer).finish(kPlainUdpSize);
  EXPECT_LE(reply.size(), kPlainUdpSize);
  EXPECT_TRUE(describe(reply).starts_with("NOERROR aa tc 10.0.0.0 10.0.0.1"));
  EXPECT_EQ(find_records(reply)->size(), 30U);
}

TEST(DnsMessage, CuttingEverythingLeavesTheQuestion) {
  const Bytes bytes = query("a", kTypeA, 512);
  ReplyWriter writer{bytes, parse_query(bytes).query, kNoError, true};
  writer.add_address(IpAddress::v4(1), 5);
  EXPECT_EQ(describe(std::move(writer).finish(20)), "NOERROR aa tc opt");
}

}  // namespace
}  // namespace compose::net::dns

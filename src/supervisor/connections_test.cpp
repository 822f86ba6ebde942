#include "supervisor/connections.hpp"

#include <gtest/gtest.h>

namespace compose::supervisor {
namespace {

constexpr const char* kHead =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

TEST(ServedConnections, CountsThoseToListeningPortsFromOutside) {
  const std::string table = std::string{kHead} +
                            "   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1\n"
                            "   1: 020012AC:0050 010012AC:C350 01 00000000:00000000 00:00000000 00000000 0 0 2\n"
                            "   2: 020012AC:0050 010012AC:C351 08 00000000:00000000 00:00000000 00000000 0 0 3\n"
                            "   3: 020012AC:0050 010012AC:C352 03 00000000:00000000 01:00000064 00000000 0 0 0\n";
  EXPECT_EQ(served_connections(table).open, 3);
  EXPECT_EQ(served_connections(table).waiting, 1) << "one has no place in the server's queue yet";
}

TEST(ServedConnections, KnowsHowManyAreNotAcceptedYet) {
  const std::string any(32, '0');
  const std::string table = std::string{kHead} +
                            "   0: 00000000:0050 00000000:0000 0A 00000000:00000011 00:00000000 00000000 0 0 1\n"
                            "   1: 00000000:0051 00000000:0000 0A 00000000:00000002 00:00000000 00000000 0 0 1\n"
                            "   2: 020012AC:0050 010012AC:C350 01 00000000:00000007 00:00000000 00000000 0 0 2\n"
                            "   3: 020012AC:0050 010012AC:C352 03 00000000:00000000 01:00000064 00000000 0 0 0\n";
  EXPECT_EQ(served_connections(table).waiting, 17 + 2 + 1);
  EXPECT_EQ(served_connections(table).open, 2);
}

TEST(ServedConnections, LeavesOutItsOwnAndWhatHasEnded) {
  const std::string table = std::string{kHead} +
                            "   0: 00000000:0050 00000000:0000 0A 0 0\n"
                            "   1: 0100007F:0050 0100007F:C350 01 0 0\n"   // its own health check
                            "   2: 020012AC:C350 030012AC:0CEA 01 0 0\n"   // its own way to a database
                            "   3: 020012AC:0050 010012AC:C352 06 0 0\n";  // TIME_WAIT
  EXPECT_EQ(served_connections(table).open, 0);
  EXPECT_EQ(served_connections(table).waiting, 0);
}

TEST(ServedConnections, ReadsIpv6AndMappedAddresses) {
  const std::string any(32, '0');
  const std::string table = std::string{kHead} + "   0: " + any + ":0050 " + any + ":0000 0A 0 0\n" +
                            "   1: 0000000000000000FFFF0000020012AC:0050 0000000000000000FFFF0000010012AC:C350 01 0\n" +
                            "   2: 0000000000000000FFFF00000100007F:0050 0000000000000000FFFF00000100007F:C350 01 0\n" +
                            "   3: 00000000000000000000000001000000:0050 00000000000000000000000001000000:C3 01 0\n";
  EXPECT_EQ(served_connections(table).open, 1);
}

TEST(HasTurnedAway, ReadsTheCounterByItsName) {
  const std::string head = "TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPHPHits\n";
  const std::string rest = "IpExt: InNoRoutes ListenDrops\nIpExt: 0 7\n";
  EXPECT_FALSE(has_turned_away(head + "TcpExt: 5 0 0 12\n" + rest));
  EXPECT_TRUE(has_turned_away(head + "TcpExt: 0 3 4 12\n" + rest));
  EXPECT_FALSE(has_turned_away("TcpExt: SyncookiesSent\nTcpExt: 5\n"));
  for (const char* text : {"", "TcpExt: ListenDrops", "TcpExt: ListenDrops\nTcpExt: "}) {
    EXPECT_FALSE(has_turned_away(text)) << text;
  }
}

TEST(ServedConnections, SurvivesAnything) {
  for (const char* text : {"", "x: y z 01\n0: : : 0A\n0: :1 :2 01 4\n:::", "0: :1 :2 0A :\n0: :1 :2 0A x:y"}) {
    EXPECT_EQ(served_connections(text).open, 0) << text;
    EXPECT_EQ(served_connections(text).waiting, 0) << text;
  }
}

}  // namespace
}  // namespace compose::supervisor

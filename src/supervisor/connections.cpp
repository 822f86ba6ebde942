#include "supervisor/connections.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "base/strings.hpp"

namespace compose::supervisor {
namespace {

// include/net/tcp_states.h
constexpr std::string_view kEstablished = "01";
constexpr std::string_view kHalfOpen = "03";   // SYN_RECV: for the client it stands already
constexpr std::string_view kCloseWait = "08";  // the peer has said all, the answer may still be on its way
constexpr std::string_view kListen = "0A";

struct Row {
  std::string local_port, remote_address, state;
};

/// "  0: 0100007F:0050 00000000:0000 0A …"
std::vector<Row> rows(std::string_view table) {
  std::vector<Row> found;
  for (const std::string& line : split(std::string{table}, '\n')) {
    std::vector<std::string> words;
    for (const std::string& word : split(line, ' ')) {
      if (!word.empty()) words.push_back(word);
    }
    if (words.size() < 4 || !words[0].ends_with(':')) continue;
    const auto local = words[1].find(':');
    const auto remote = words[2].find(':');
    if (local == std::string::npos || remote == std::string::npos) continue;
    found.push_back({words[1].substr(local + 1), words[2].substr(0, remote), words[3]});
  }
  return found;
}

/// 127.0.0.0/8, ::1 and ::ffff:127.0.0.0/104, as the kernel prints them: words of 32 bits in the host's order.
bool loopback(const std::string& address) {
  if (address.size() == 8) return address.ends_with("7F");
  if (address.size() != 32) return false;
  return address == "00000000000000000000000001000000" ||
         (address.starts_with("0000000000000000FFFF0000") && address.ends_with("7F"));
}

}  // namespace

int served_connections(std::string_view table) {
  const std::vector<Row> all = rows(table);
  std::set<std::string> listening;
  for (const Row& row : all) {
    if (row.state == kListen) listening.insert(row.local_port);
  }
  int count = 0;
  for (const Row& row : all) {
    const bool open = row.state == kEstablished || row.state == kHalfOpen || row.state == kCloseWait;
    if (open && listening.contains(row.local_port) && !loopback(row.remote_address)) ++count;
  }
  return count;
}

bool has_turned_away(std::string_view netstat) {
  // Two lines: "TcpExt: SyncookiesSent …" and "TcpExt: 0 …".
  std::vector<std::string> names;
  for (const std::string& line : split(std::string{netstat}, '\n')) {
    if (!line.starts_with("TcpExt: ")) continue;
    std::vector<std::string> words = split(line, ' ');
    if (names.empty()) {
      names = std::move(words);
      continue;
    }
    const auto place = static_cast<std::size_t>(std::ranges::find(names, "ListenDrops") - names.begin());
    return place < words.size() && !words[place].empty() && words[place] != "0";
  }
  return false;
}

}  // namespace compose::supervisor

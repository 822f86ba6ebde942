#include "supervisor/connections.hpp"

#include <algorithm>
#include <cstdlib>
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
  int queue = 0;  // of a listening one: how many wait to be accepted
};

/// "  0: 0100007F:0050 00000000:0000 0A 00000000:00000002 …"
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
    const auto queue = words.size() > 4 ? words[4].find(':') : std::string::npos;
    const long waiting = queue == std::string::npos ? 0 : std::strtol(words[4].c_str() + queue + 1, nullptr, 16);
    found.push_back({words[1].substr(local + 1), words[2].substr(0, remote), words[3], static_cast<int>(waiting)});
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

Served served_connections(std::string_view table) {
  const std::vector<Row> all = rows(table);
  std::set<std::string> listening;
  Served served;
  for (const Row& row : all) {
    if (row.state != kListen) continue;
    listening.insert(row.local_port);
    served.waiting += row.queue;
  }
  for (const Row& row : all) {
    const bool open = row.state == kEstablished || row.state == kHalfOpen || row.state == kCloseWait;
    if (!open || !listening.contains(row.local_port) || loopback(row.remote_address)) continue;
    ++served.open;
    if (row.state == kHalfOpen) ++served.waiting;
  }
  return served;
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

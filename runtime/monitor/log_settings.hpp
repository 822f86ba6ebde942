#pragma once
// Where a container's output goes: a file, and perhaps a service besides it.
#include <cstdint>
#include <string>

namespace compose::runtime::monitor {

/// How a line looks in a log file.
///   text  "<RFC 3339 nanoseconds> stdout F text" (CRI; P instead of F: the line goes on in the next one)
///   json  {"log":"text\n","stream":"stdout","attrs":{…},"time":"…"}, Docker's json-file; without \n: it goes on
enum class LogFormat : std::uint8_t { text, json };

inline constexpr std::size_t kMaxAttributes = std::size_t{8} << 10;

struct LogFileSettings {
  std::string path;            ///< empty: nothing is kept
  std::uint64_t max_size = 0;  ///< bytes before rotation, 0: never
  int max_files = 1;           ///< the log itself and its older files
  bool compress = false;       ///< the older files but the newest of them
  LogFormat format = LogFormat::text;
  std::string attributes;  ///< json: `"attrs":{…},` for every line, at most kMaxAttributes bytes, or ""
};

struct RemoteLogSettings {
  enum class Kind : std::uint8_t {
    none,
    journald,       ///< systemd's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL)
    syslog_local,   ///< "<PRI>Jan  2 15:04:05 tag[pid]: text", as syslog(3) writes it
    rfc3164,        ///< with the host's name before the tag
    rfc5424,        ///< times in seconds
    rfc5424_micro,  ///< times in microseconds
  };
  Kind kind = Kind::none;
  std::string address;       ///< "unix:PATH", "unixgram:PATH", "udp:IP:PORT", "tcp:IP:PORT" (IPv6 in brackets)
  std::string fields;        ///< journald: "NAME=value\n…" for every entry
  std::string tag;           ///< syslog
  std::string hostname;      ///< syslog
  int facility = 3;          ///< syslog, 0 to 23 (RFC 5424 section 6.2.1)
  std::uint64_t buffer = 0;  ///< bytes that may wait for the service before output is dropped; 0: the container waits
};

}  // namespace compose::runtime::monitor

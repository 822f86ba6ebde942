#include "runtime/monitor/log_remote.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <optional>
#include <span>

#include "base/strings.hpp"
#include "sys/file.hpp"
#include "sys/message.hpp"

namespace compose::runtime::monitor {
namespace {

using Kind = RemoteLogSettings::Kind;

constexpr std::size_t kLongestLine = 16384;  // Docker's piece
constexpr int kConnectLimit = 5000;          // milliseconds
constexpr int kInfo = 6, kError = 3;         // severities, RFC 5424 section 6.2.1

struct Target {
  int type = SOCK_DGRAM;
  sockaddr_storage address{};
  socklen_t size = 0;
};

Result<Target> unix_target(std::string_view path, int type) {
  Target target{type, {}, 0};
  auto& address = reinterpret_cast<sockaddr_un&>(target.address);
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return make_error(Errc::invalid, "\"{}\" cannot be the path of a socket", path);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  target.size = sizeof address;
  return target;
}

Result<Target> internet_target(std::string_view place, int type) {
  const auto colon = place.rfind(':');
  const auto port = colon == std::string_view::npos ? std::nullopt : parse_unsigned(place.substr(colon + 1));
  if (!port || *port == 0 || *port > 65535) return make_error(Errc::invalid, "\"{}\" is not ADDRESS:PORT", place);
  std::string host{place.substr(0, colon)};
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  Target target{type, {}, 0};
  auto& four = reinterpret_cast<sockaddr_in&>(target.address);
  auto& six = reinterpret_cast<sockaddr_in6&>(target.address);
  if (::inet_pton(AF_INET, host.c_str(), &four.sin_addr) == 1) {
    four.sin_family = AF_INET;
    four.sin_port = htons(static_cast<std::uint16_t>(*port));
    target.size = sizeof four;
  } else if (::inet_pton(AF_INET6, host.c_str(), &six.sin6_addr) == 1) {
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(static_cast<std::uint16_t>(*port));
    target.size = sizeof six;
  } else {
    return make_error(Errc::invalid, "\"{}\" is no IP address", host);
  }
  return target;
}

Result<Target> parse_target(std::string_view address) {
  const auto colon = address.find(':');
  const std::string_view scheme = address.substr(0, colon);
  const std::string_view place = colon == std::string_view::npos ? "" : address.substr(colon + 1);
  if (scheme == "unix" || scheme == "unixgram") return unix_target(place, SOCK_DGRAM);
  if (scheme == "udp") return internet_target(place, SOCK_DGRAM);
  if (scheme == "tcp") return internet_target(place, SOCK_STREAM);
  return make_error(Errc::invalid, "\"{}\" is no address of a log service", address);
}

Result<UniqueFd> connect_to(const Target& target) {
  UniqueFd socket{::socket(target.address.ss_family, target.type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!socket.valid()) return os_error("socket");
  const auto* address = reinterpret_cast<const sockaddr*>(&target.address);
  if (::connect(socket.get(), address, target.size) == 0) return socket;
  if (errno != EINPROGRESS) return os_error("connect");
  pollfd poller{socket.get(), POLLOUT, 0};
  if (retry_eintr([&] { return ::poll(&poller, 1, kConnectLimit); }) == 0) {
    return make_error(Errc::timeout, "connect: no answer within {} s", kConnectLimit / 1000);
  }
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  errno = error;
  if (error != 0) return os_error("connect");
  return socket;
}

/// A value that holds a newline needs its length before it (JOURNAL_NATIVE_PROTOCOL).
void add_field(std::string& entry, std::string_view name, std::string_view value) {
  entry += name;
  if (value.find('\n') == std::string_view::npos) {
    entry += '=';
  } else {
    entry += '\n';
    for (unsigned shift = 0; shift < 64; shift += 8) {
      entry += static_cast<char>(static_cast<std::uint64_t>(value.size()) >> shift);
    }
  }
  entry += value;
  entry += '\n';
}

std::string formatted(const char* format, const tm& parts) {
  std::array<char, 64> text{};
  return {text.data(), std::strftime(text.data(), text.size(), format, &parts)};
}

/// "2026-01-31T12:00:00+01:00", with microseconds if they are wanted.
std::string rfc5424_time(const timespec& now, const tm& parts, bool micro) {
  std::string zone = formatted("%z", parts);
  zone = zone == "+0000" ? "Z" : zone.insert(3, ":");
  const std::string fraction = micro ? fmt::format(".{:06}", now.tv_nsec / 1000) : "";
  return formatted("%Y-%m-%dT%H:%M:%S", parts) + fraction + zone;
}

}  // namespace

std::string journal_entry(const RemoteLogSettings& settings, bool to_stderr, std::string_view text, bool partial) {
  std::string entry = settings.fields;
  entry += fmt::format("PRIORITY={}\n", to_stderr ? kError : kInfo);
  if (partial) entry += "CONTAINER_PARTIAL_MESSAGE=true\n";
  add_field(entry, "MESSAGE", text);
  return entry;
}

std::string syslog_entry(const RemoteLogSettings& settings, bool to_stderr, std::string_view text, const timespec& now,
                         int pid) {
  const int priority = settings.facility * 8 + (to_stderr ? kError : kInfo);
  tm parts{};
  ::localtime_r(&now.tv_sec, &parts);
  switch (settings.kind) {
    case Kind::rfc3164:
      return fmt::format("<{}>{} {} {}[{}]: {}\n", priority, formatted("%b %e %H:%M:%S", parts), settings.hostname,
                         settings.tag, pid, text);
    case Kind::rfc5424:
    case Kind::rfc5424_micro:
      return fmt::format("<{}>1 {} {} {} {} {} - {}\n", priority,
                         rfc5424_time(now, parts, settings.kind == Kind::rfc5424_micro), settings.hostname,
                         settings.tag, pid, settings.tag, text);
    default:
      return fmt::format("<{}>{} {}[{}]: {}\n", priority, formatted("%b %e %H:%M:%S", parts), settings.tag, pid, text);
  }
}

Result<UniqueFd> RemoteLog::connect() const {
  TRY_ASSIGN(Target target, parse_target(settings_.address).with("log service {}", settings_.address));
  auto socket = connect_to(target);
  // A syslog that listens with a stream at /dev/log (syslog(3) tries both).
  if (!socket && socket.error().sys_errno() == EPROTOTYPE && target.address.ss_family == AF_UNIX) {
    target.type = SOCK_STREAM;
    socket = connect_to(target);
  }
  return std::move(socket).with("log service {}", settings_.address);
}

Result<void> RemoteLog::open() {
  if (settings_.kind == Kind::none) return {};
  TRY_ASSIGN(socket_, connect());
  int type = 0;
  socklen_t size = sizeof type;
  ::getsockopt(socket_.get(), SOL_SOCKET, SO_TYPE, &type, &size);
  stream_ = type == SOCK_STREAM;
  return {};
}

/// Once a second at most.
bool RemoteLog::reconnect() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  if (now.tv_sec == last_attempt_) return false;
  last_attempt_ = now.tv_sec;
  socket_.reset();
  return open().ok();
}

void RemoteLog::write(bool to_stderr, std::string_view bytes, const timespec& now) {
  if (settings_.kind == Kind::none) return;
  std::string& open = open_[to_stderr ? 1 : 0];
  while (!bytes.empty()) {
    const auto end = bytes.find('\n');
    const std::size_t room = kLongestLine - open.size();
    const bool complete = end != std::string_view::npos && end <= room;
    const std::string_view piece = bytes.substr(0, complete ? end : room);
    open += piece;
    bytes.remove_prefix(piece.size() + (complete ? 1 : 0));
    if (!complete && open.size() < kLongestLine) return;
    line(to_stderr, open, !complete, now);
    open.clear();
  }
}

void RemoteLog::line(bool to_stderr, std::string_view text, bool partial, const timespec& now) {
  const bool journal = settings_.kind == Kind::journald;
  std::string entry = journal ? journal_entry(settings_, to_stderr, text, partial)
                              : syslog_entry(settings_, to_stderr, text, now, ::getpid());
  if (!queue_.empty()) flush();
  if (queue_.empty()) {
    const Sent sent = send(entry);
    if (sent != Sent::later) return;
  }
  if (settings_.buffer != 0 && queued_ + entry.size() > settings_.buffer) return;  // dropped, as was asked for
  queued_ += entry.size();
  queue_.push_back(std::move(entry));
}

/// A message the socket takes only in part keeps its rest in `entry`.
RemoteLog::Sent RemoteLog::send(std::string& entry) {
  for (bool again = true;; again = false) {
    if (!socket_.valid() && !reconnect()) return Sent::never;
    const ssize_t sent =
        retry_eintr([&] { return ::send(socket_.get(), entry.data(), entry.size(), MSG_DONTWAIT | MSG_NOSIGNAL); });
    if (sent == static_cast<ssize_t>(entry.size())) return Sent::yes;
    if (sent >= 0) {
      entry.erase(0, static_cast<std::size_t>(sent));
      return Sent::later;
    }
    if (errno == EAGAIN || errno == ENOBUFS) return Sent::later;
    if (errno == EMSGSIZE && !stream_) return settings_.kind == Kind::journald ? send_as_file(entry) : Sent::never;
    // It was restarted, or is gone.
    if (!again || !reconnect()) return Sent::never;
  }
}

/// What is too large for a datagram goes to journald as a sealed memory file.
RemoteLog::Sent RemoteLog::send_as_file(std::string_view entry) {
  const auto file = sys::memfd_from("entry", std::string{entry});
  if (!file) return Sent::never;
  const std::array<int, 1> fds{file->get()};
  return sys::send_message(socket_.get(), "", fds) ? Sent::yes : Sent::never;
}

void RemoteLog::flush() {
  while (!queue_.empty()) {
    const std::size_t size = queue_.front().size();
    const Sent sent = send(queue_.front());
    if (sent == Sent::later) {
      queued_ -= size - queue_.front().size();
      return;
    }
    queued_ -= size;
    queue_.pop_front();
  }
}

void RemoteLog::finish(const timespec& now, int milliseconds) {
  if (settings_.kind == Kind::none) return;
  for (const bool to_stderr : {false, true}) {
    std::string& open = open_[to_stderr ? 1 : 0];
    if (!open.empty()) line(to_stderr, open, false, now);
    open.clear();
  }
  timespec begun{};
  ::clock_gettime(CLOCK_MONOTONIC, &begun);
  while (!queue_.empty() && socket_.valid()) {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    const auto passed = (time.tv_sec - begun.tv_sec) * 1000 + (time.tv_nsec - begun.tv_nsec) / 1'000'000;
    if (passed >= milliseconds) return;
    pollfd poller{socket_.get(), POLLOUT, 0};
    if (::poll(&poller, 1, static_cast<int>(milliseconds - passed)) < 0 && errno != EINTR) return;
    flush();
  }
}

}  // namespace compose::runtime::monitor

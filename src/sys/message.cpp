#include "sys/message.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/crash_point.hpp"

namespace compose::sys {

namespace {
constexpr std::size_t kMostFds = 16;
}

Result<std::pair<UniqueFd, UniqueFd>> seqpacket_pair() {
  std::array<int, 2> fds{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()) != 0) return os_error("socketpair");
  return std::pair{UniqueFd{fds[0]}, UniqueFd{fds[1]}};
}

Result<void> send_message(int socket, std::string_view data, std::span<const int> fds) {
  if (fds.size() > kMostFds) return make_error(Errc::invalid, "more than {} descriptors in a message", kMostFds);
  iovec piece{const_cast<char*>(data.data()), data.size()};  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMostFds)> control{};
  msghdr header{};
  header.msg_iov = &piece;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size_bytes());
  }
  crash_point("send");
  if (retry_eintr([&] { return ::sendmsg(socket, &header, MSG_NOSIGNAL); }) < 0) return os_error("sendmsg");
  crash_point("sent");
  return {};
}

Result<Message> receive_message(int socket, std::size_t limit) {
  Message message;
  // Nearly all messages are short: asking for the size first is cheaper than the pages of a buffer for the longest.
  const ssize_t size = retry_eintr([&] { return ::recv(socket, nullptr, 0, MSG_PEEK | MSG_TRUNC); });
  if (size < 0) return os_error("recvmsg");
  // 0 is the end, or a stream, which has no messages to ask about.
  message.data.resize(size > 0 ? std::min(limit, static_cast<std::size_t>(size)) : limit);
  iovec piece{message.data.data(), message.data.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMostFds)> control{};
  msghdr header{};
  header.msg_iov = &piece;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  const ssize_t got = retry_eintr([&] { return ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC); });
  if (got < 0) return os_error("recvmsg");
  message.data.resize(static_cast<std::size_t>(got));
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
      message.fds.emplace_back(fd);
    }
  }
  if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return make_error(Errc::corrupt, "truncated message");
  return message;
}

namespace {

/// Fills in the address; a path too long for sun_path (108 bytes) is reached through its open parent directory.
Result<sockaddr_un> unix_address(const std::string& path, UniqueFd& parent) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string name = path;
  if (name.size() >= sizeof address.sun_path) {
    const auto slash = path.rfind('/');
    parent = UniqueFd{::open(path.substr(0, slash).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
    if (!parent.valid()) return os_error("open directory of {}", path);
    name = fmt::format("/proc/self/fd/{}/{}", parent.get(), path.substr(slash + 1));
    if (name.size() >= sizeof address.sun_path) return make_error(Errc::invalid, "socket name too long: {}", path);
  }
  std::memcpy(address.sun_path, name.c_str(), name.size() + 1);
  return address;
}

}  // namespace

Result<UniqueFd> listen_unix(const std::string& path, int type) {
  UniqueFd parent;
  TRY_ASSIGN(const sockaddr_un address, unix_address(path, parent));
  UniqueFd fd{::socket(AF_UNIX, type | SOCK_CLOEXEC, 0)};
  if (!fd.valid()) return os_error("socket");
  ::unlink(path.c_str());
  // The mode is set before bind so that nobody can connect in between.
  if (::fchmod(fd.get(), 0600) != 0) return os_error("chmod socket");
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return os_error("bind {}", path);
  if (::listen(fd.get(), 128) != 0) return os_error("listen {}", path);
  crash_point("listening", path.c_str());
  return fd;
}

Result<UniqueFd> connect_unix(const std::string& path, int type) {
  UniqueFd parent;
  TRY_ASSIGN(const sockaddr_un address, unix_address(path, parent));
  UniqueFd fd{::socket(AF_UNIX, type | SOCK_CLOEXEC, 0)};
  if (!fd.valid()) return os_error("socket");
  const auto connected = [&] {
    return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  };
  if (retry_eintr(connected) != 0) return os_error("connect to {}", path);
  return fd;
}

Result<uid_t> peer_uid(int socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return os_error("SO_PEERCRED");
  return credentials.uid;
}

}  // namespace compose::sys

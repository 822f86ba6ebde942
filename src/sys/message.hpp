#pragma once
// Messages with file descriptors over Unix sockets (SCM_RIGHTS, unix(7)).
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace compose::sys {

struct Message {
  std::string data;           ///< empty: the peer has closed
  std::vector<UniqueFd> fds;  ///< close-on-exec
};

/// A connected pair of close-on-exec SOCK_SEQPACKET sockets.
Result<std::pair<UniqueFd, UniqueFd>> seqpacket_pair();

/// One sendmsg; MSG_NOSIGNAL. At most 16 descriptors.
Result<void> send_message(int socket, std::string_view data, std::span<const int> fds = {});

/// One message, after a look at its size. One longer than `limit` or with truncated descriptors is an error; EAGAIN
/// comes back as Errc::busy on a non-blocking socket.
Result<Message> receive_message(int socket, std::size_t limit = 65536);

/// Listens at `path` (replacing a stale socket file), mode 0600. `type` is SOCK_STREAM or SOCK_SEQPACKET, may be
/// or-ed with SOCK_NONBLOCK. Paths longer than sun_path go through /proc/self/fd.
Result<UniqueFd> listen_unix(const std::string& path, int type);
Result<UniqueFd> connect_unix(const std::string& path, int type);
/// The uid of the process at the other end (SO_PEERCRED).
Result<uid_t> peer_uid(int socket);

}  // namespace compose::sys

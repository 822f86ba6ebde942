#pragma once
#include <string_view>

namespace compose::supervisor {

struct Served {
  int open = 0;     ///< connections from outside to ports that something listens on; those that wait are among them
  int waiting = 0;  ///< those that the program has not accepted yet: when it ends, they are reset
};

/// The connections that somebody outside counts on, from the text of /proc/PID/net/tcp or tcp6 of a network namespace
/// (proc(5)). Those from a loopback address are within the namespace and are not open in this sense; that they wait
/// cannot be told from the table. Pure; lines that do not fit are left out.
Served served_connections(std::string_view table);

/// Whether something that listened there has ever had no place for a connection, from the text of /proc/PID/net/netstat
/// (TcpExt's ListenDrops). Pure.
bool has_turned_away(std::string_view netstat);

}  // namespace compose::supervisor

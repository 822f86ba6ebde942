#pragma once
#include <string_view>

namespace compose::supervisor {

/// How many connections are open to ports that something listens on, from the text of /proc/PID/net/tcp or tcp6 of a
/// network namespace (proc(5)). Connections within the namespace (from a loopback address) do not count: nobody outside
/// waits for them. Pure; lines that do not fit are left out.
int served_connections(std::string_view table);

/// Whether something that listened there has ever had no place for a connection, from the text of /proc/PID/net/netstat
/// (TcpExt's ListenDrops). Pure.
bool has_turned_away(std::string_view netstat);

}  // namespace compose::supervisor

#include "net/ports/host_forward.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "net/ports/claims.hpp"
#include "sys/file.hpp"
#include "sys/message.hpp"

namespace compose::net::ports {
namespace {

constexpr const char* kGuest = "10.0.2.100";  // slirp4netns(1): the address of its tap device

std::string socket_path() {
  const char* path = std::getenv("COMPOSE_PORT_FORWARDER");
  return path == nullptr ? "" : path;
}

/// One question and its answer (slirp4netns(1), "API SOCKET"): each has a connection of its own.
Result<nlohmann::json> ask(const nlohmann::json& question) {
  TRY_ASSIGN(const UniqueFd socket, sys::connect_unix(socket_path(), SOCK_STREAM).with("slirp4netns"));
  TRY(sys::write_all(socket.get(), question.dump()));
  if (::shutdown(socket.get(), SHUT_WR) != 0) return os_error("slirp4netns");
  TRY_ASSIGN(const std::string text, sys::read_all(socket.get(), std::size_t{1} << 20));
  auto answer = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!answer.is_object()) return make_error(Errc::corrupt, "slirp4netns gave no answer");
  return answer;
}

bool can_forward(const firewall::Port& port) {
  const bool known = port.protocol == IPPROTO_TCP || port.protocol == IPPROTO_UDP;
  return known && !(port.host_ip && port.host_ip->is_v6());
}

std::string host_address(const firewall::Port& port) { return port.host_ip ? port.host_ip->to_string() : "0.0.0.0"; }

/// Its number in slirp4netns's list; nothing when it is not open.
Result<std::optional<int>> find(const firewall::Port& port) {
  TRY_ASSIGN(const nlohmann::json answer, ask({{"execute", "list_hostfwd"}}));
  const auto list = answer.value("entries", nlohmann::json::array());
  const std::string protocol = port.protocol == IPPROTO_TCP ? "tcp" : "udp";
  for (const auto& entry : list) {
    if (entry.value("proto", "") == protocol && entry.value("host_port", 0) == port.host_port &&
        entry.value("host_addr", "") == host_address(port)) {
      return std::optional<int>{entry.value("id", 0)};
    }
  }
  return std::optional<int>{};
}

}  // namespace

bool forwarded() { return !socket_path().empty(); }

firewall::Port inside(firewall::Port port) {
  if (forwarded()) port.host_ip.reset();
  return port;
}

Result<void> open_on_host(const firewall::Port& port) {
  if (!forwarded() || !can_forward(port)) return {};
  TRY_ASSIGN(const std::optional<int> open, find(port));
  if (open) return {};
  TRY_ASSIGN(const nlohmann::json answer, ask({{"execute", "add_hostfwd"},
                                               {"arguments",
                                                {{"proto", port.protocol == IPPROTO_TCP ? "tcp" : "udp"},
                                                 {"host_addr", host_address(port)},
                                                 {"host_port", port.host_port},
                                                 {"guest_addr", kGuest},
                                                 {"guest_port", port.host_port}}}}));
  if (!answer.contains("error")) return {};
  return make_error(Errc::busy, "port {} cannot be opened on the host: it is in use, or below {} and thus root's",
                    to_text(port), "net.ipv4.ip_unprivileged_port_start");
}

Result<void> close_on_host(const firewall::Port& port) {
  if (!forwarded() || !can_forward(port)) return {};
  TRY_ASSIGN(const std::optional<int> open, find(port));
  if (!open) return {};
  TRY(ask({{"execute", "remove_hostfwd"}, {"arguments", {{"id", *open}}}}));
  return {};
}

}  // namespace compose::net::ports

#pragma once
// The names one container may see. Zones (one per network) are shared between the views of all containers on that
// network, so that a change of one member costs one update.
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "net/address.hpp"

namespace compose::net::dns {

/// One container on a network.
struct Member {
  std::string id;  ///< the container's id
  std::vector<std::string>
      names;  ///< service, aliases, container name, short id; any letter case. The first answers PTR
  std::vector<IpAddress> addresses;
  bool ready = true;  ///< false: starting, unhealthy or stopping: only names of its own (see Zone) lead to it
  struct Port {
    std::string service;   ///< "http" or a number as text
    std::string protocol;  ///< "tcp"
    std::uint16_t port;
  };
  std::vector<Port> ports;  ///< for SRV: _http._tcp.NAME
};

/// The members of one network. Used from one thread.
class Zone {
 public:
  /// `name` is the network's: members are also known as NAME.`name`, and their PTR is that. Addresses inside `subnets`
  /// that no member has are unknown instead of being asked outside.
  explicit Zone(std::string name, std::vector<Prefix> subnets = {})
      : name_{std::move(name)}, subnets_{std::move(subnets)} {}

  /// Adds the member or replaces the one with the same id. A member that is not ready is left out of an answer as long
  /// as another member of that name is ready; if none is, all are given (better a refused connection than no name).
  void put(Member member);
  void remove(const std::string& id);
  const std::string& name() const { return name_; }

  using Index = std::unordered_map<std::string, std::vector<const Member*>>;
  /// By lower-case name.
  const std::vector<const Member*>* find(std::string_view name) const;
  const Member* by_address(const IpAddress& address) const;
  bool empty() const { return members_.empty(); }
  /// Is the address inside one of the network's subnets?
  bool owns(const IpAddress& address) const;

 private:
  void unlink(const Member& member);
  std::string name_;
  std::vector<Prefix> subnets_;
  std::map<std::string, Member> members_;
  Index index_;
  std::map<IpAddress, const Member*> reverse_;
};

/// Everything one container may ask for.
struct ZoneView {
  std::vector<std::shared_ptr<const Zone>> zones;       ///< its networks, in order of priority
  std::map<std::string, std::vector<IpAddress>> names;  ///< for it alone: links, host.docker.internal; lower case
  /// Service names of the project, lower case: unknown while nobody has them, but never asked outside. One set for all
  /// containers of a project, which may grow; null: none.
  std::shared_ptr<const std::set<std::string>> reserved;
  bool forward_outside = true;         ///< false when all its networks are internal and it has no `dns:`
  std::vector<std::string> upstreams;  ///< `dns:`, asked from it ("10.0.0.1", "[::1]:5353"); empty: the host's
  std::vector<std::string> search;     ///< search domains a container name may come with
};

}  // namespace compose::net::dns

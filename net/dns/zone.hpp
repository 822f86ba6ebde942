#pragma once
// The names one container may see. Zones (one per network) are shared between the views of all containers on that
// network, so that a change of one member costs one update.
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "net/address.hpp"

namespace compose::net::dns {

/// One container on a network.
struct Member {
  std::string id;  ///< the container's id
  /// Service, aliases, container name, short id; any letter case. The first answers PTR queries, so put the container's
  /// name there.
  std::vector<std::string> names;
  std::vector<IpAddress> addresses;
  /// false: starting, unhealthy or stopping.
  bool ready = true;
  struct Port {
    std::string service;   ///< "http", or a number as text
    std::string protocol;  ///< "tcp"
    std::uint16_t port = 0;
  };
  std::vector<Port> ports;  ///< for SRV: _http._tcp.NAME
};

/// Lets maps of strings be searched by string_view.
struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

/// The members of one network. Used from one thread.
class Zone {
 public:
  /// `name` is the network's: members are also known as MEMBER.`name`. Addresses inside `subnets` that no member has
  /// are answered as unknown instead of being asked outside.
  explicit Zone(std::string name, std::vector<Prefix> subnets = {});

  /// Adds the member or replaces the one with the same id.
  void put(Member member);
  void remove(const std::string& id);
  /// The same member with another `ready`; nothing happens to an unknown id.
  void set_ready(const std::string& id, bool ready);

  const std::string& name() const { return name_; }
  /// By lower-case name, with or without the zone's. Null: no such name. Members that are not ready are left out as
  /// long as another one of that name is ready: better a refused connection than no name.
  const std::vector<const Member*>* find(std::string_view name) const;
  const Member* by_address(const IpAddress& address) const;
  bool owns(const IpAddress& address) const;

 private:
  struct Named {
    std::vector<const Member*> all;     ///< in the order of their ids
    std::vector<const Member*> answer;  ///< what find() gives
  };
  void link(const Member& member);
  void unlink(const Member& member);
  static void refresh(Named& named);

  std::string name_;
  std::vector<Prefix> subnets_;
  std::map<std::string, Member> members_;
  std::unordered_map<std::string, Named, TextHash, std::equal_to<>> index_;
  std::map<IpAddress, const Member*> reverse_;
};

/// Everything one container may ask for.
struct ZoneView {
  using Names = std::unordered_map<std::string, std::vector<IpAddress>, TextHash, std::equal_to<>>;
  using NameSet = std::unordered_set<std::string, TextHash, std::equal_to<>>;

  std::vector<std::shared_ptr<const Zone>> zones;  ///< its networks, in order of priority
  Names names;                                     ///< for it alone: links, host.docker.internal; lower case
  NameSet reserved;  ///< the project's service names, lower case: unknown while nobody has them, never asked outside
  bool forward_outside = true;         ///< false when all its networks are internal
  std::vector<std::string> upstreams;  ///< `dns:` of the service, "10.0.0.1" or "[::1]:5353"; empty: the server's
  std::vector<std::string> search;     ///< lower-case domains a name of ours may come with
};

}  // namespace compose::net::dns

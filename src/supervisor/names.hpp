#pragma once
// The project's part of the resolver: which names lead to which container, and what each container may see.
#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/strings.hpp"
#include "net/dns/server.hpp"
#include "state/records.hpp"
#include "supervisor/addresses.hpp"
#include "supervisor/context.hpp"
#include "supervisor/neighbours.hpp"

namespace compose::supervisor {

class Names {
 public:
  Names(const Context& context, Addresses& addresses);

  /// Service names of the project, to be unknown rather than asked outside while none of their containers runs.
  void reserve(const std::string& service) { services_->insert(to_lower(service)); }
  /// Answers the container's queries from now on.
  void serve(const state::ContainerRecord& record, net::endpoint::ResolverSockets sockets);
  /// The container is to be found on its networks. Not ready: only when nobody else has the name.
  void put(const state::ContainerRecord& record, bool ready);
  /// Nobody finds the container any more; its own queries are answered as before.
  void leave(const state::ContainerRecord& record);
  /// The container has ended.
  void remove(const state::ContainerRecord& record);

 private:
  net::dns::Zone& zone(const std::string& network);
  std::shared_ptr<const net::dns::ZoneView> view(const state::ContainerRecord& record);
  /// The containers behind a service's virtual address on one network.
  struct Backends {
    std::map<std::string, Addresses::Backend> containers;  // by id
    async::Timer hold;                                     // runs while none is ready but one may be soon
    bool held = false;                                     // it has run since one was ready
  };
  using Place = std::pair<std::string, std::string>;  // network, service
  void spread(const Place& place);
  void look_at_neighbours();
  void add_links(const state::ContainerRecord& record, net::dns::ZoneView& view);

  const Context& context_;
  Addresses& addresses_;
  Neighbours neighbours_;
  std::map<Place, Backends> backends_;
  std::shared_ptr<std::set<std::string>> services_ = std::make_shared<std::set<std::string>>();  // lower case
  net::dns::Server server_;
  std::map<std::string, std::shared_ptr<net::dns::Zone>> zones_;
};

}  // namespace compose::supervisor

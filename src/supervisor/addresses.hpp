#pragma once
// The project's side of net::Networks: which addresses and ports its containers hold, fetched and given back in batches
// (one lock and one nf_tables transaction for a whole `up`).
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "net/address.hpp"
#include "net/networks.hpp"
#include "state/records.hpp"
#include "supervisor/context.hpp"

namespace compose::supervisor {

class Addresses {
 public:
  explicit Addresses(const Context& context);

  Result<void> ensure(const net::NetworkSpec& spec);
  /// Several at once cost one wait for the kernel.
  Result<void> remove(std::span<const std::string> names);
  Result<std::vector<net::Network>> list() { return networks_.list(); }

  /// Leases an address on each network of each container and writes it into the record. Repeating it is free: what
  /// was leased for a container by this supervisor is not asked again.
  Result<void> lease(std::span<state::ContainerRecord* const> records);
  /// For good: a container of this name and number may get another address.
  Result<void> release(const state::ContainerRecord& record);
  Result<void> release_project();

  /// Publishes the ports of the containers in one transaction, all or nothing, and notes the host's ports.
  Result<void> publish(std::span<state::ContainerRecord* const> records);
  /// The ports of `from` become those of `to`, without a moment in which they are closed; both records are noted.
  Result<void> hand_over(state::ContainerRecord& from, state::ContainerRecord& to);
  /// Takes back what is noted for containers in the host's files, whatever their records say.
  Result<void> disown(std::span<const std::string> ids) { return networks_.unpublish(ids); }
  /// Opens again what running containers have published: the last supervisor held their ports.
  Result<void> publish_again(std::span<const state::ContainerRecord* const> records);
  /// Notes in the record what the host's files say is published for the container: the last supervisor may have died
  /// between opening its ports and writing its record.
  void recall(state::ContainerRecord& record);
  /// Errors: busy, when a port that one of these wants is taken, naming who has it; `index` then says whose it is.
  Result<void> check(std::span<const state::ContainerRecord* const> records, std::size_t& index);
  /// Which of a container's ports cannot be published: an index into record.ports, or -1.
  int unpublishable(const state::ContainerRecord& record);
  /// Takes the ports back, at the next flush.
  void unpublish(state::ContainerRecord& record);
  /// One transaction for all unpublish() since the last one.
  Result<void> flush();

  /// What the monitor needs, one interface for each network.
  Result<std::vector<net::endpoint::Attachment>> attachments(const state::ContainerRecord& record);
  /// The gateway the container leaves through, "" = none.
  std::string gateway(const state::ContainerRecord& record);
  bool internal(const std::string& network);
  std::vector<net::Prefix> subnets(const std::string& network);

  net::Networks& networks() { return networks_; }

  /// One container behind a service's virtual address.
  struct Backend {
    std::string ipv4, ipv6;
    bool ready = false;
  };
  /// The address that all replicas of `service` share on the network, leased at the first call.
  Result<net::Lease> virtual_address(const std::string& network, const std::string& service);
  /// Who is behind it from now on: those that are ready; when none is, nobody, with `hold` (clients try again), or all.
  Result<void> spread(const std::string& network, const std::string& service,
                      const std::map<std::string, Backend>& backends, bool hold);

  /// Puts back what somebody else took from the host's rules. Tells whether there was something.
  Result<bool> repair() { return networks_.repair(); }

  /// Removes ports and interfaces of containers that are not among `live`.
  Result<void> sweep(std::span<const std::string> live);

 private:
  Result<const net::Network*> network(const std::string& name);
  std::vector<net::Publication> publications(const state::ContainerRecord& record);
  void proxy(const state::ContainerRecord& record);

  const Context& context_;
  net::Networks networks_;
  net::ports::LocalProxy proxy_;
  std::map<std::pair<std::string, std::string>, net::Lease> virtual_;  // network, service
  std::map<std::string, net::Network> known_;
  std::set<std::pair<std::string, std::string>> leased_;  // container id, network
  std::vector<std::string> to_unpublish_;
};

}  // namespace compose::supervisor

#pragma once
// Containers of other projects on a network that projects share ("external"): their names, as their supervisors have
// written them down. Looked at when somebody asks for a name, and read again only where a file has changed.
#include <sys/types.h>

#include <ctime>
#include <map>
#include <string>
#include <vector>

#include "net/dns/zone.hpp"
#include "net/networks.hpp"
#include "state/paths.hpp"
#include "state/records.hpp"

namespace compose::supervisor {

/// What a container is known as on one of its networks: itself, and, with a virtual address for its service, the
/// service (id "vip:PROJECT/SERVICE"). Pure. `virtual_address`: null without one.
std::vector<net::dns::Member> members_of(const state::ContainerRecord& record, const state::NetworkRecord& network,
                                         bool ready, const net::Lease* virtual_address);

/// Runs, is healthy as far as it is checked, and is not being stopped.
bool is_ready(const state::ContainerRecord& record);

class Neighbours {
 public:
  Neighbours(const state::Paths& paths, std::string project) : paths_{paths}, project_{std::move(project)} {}

  /// Brings the other projects' members of `zone` up to date.
  void refresh(const std::string& network, net::dns::Zone& zone, net::Networks& networks);

 private:
  /// Changes whenever the file is replaced or written.
  struct Stamp {
    ino_t inode = 0;
    timespec modified{};
    bool operator==(const Stamp& other) const {
      return inode == other.inode && modified.tv_sec == other.modified.tv_sec &&
             modified.tv_nsec == other.modified.tv_nsec;
    }
  };
  struct Known {
    Stamp stamp;
    bool alive = false;
    std::vector<std::string> members;  ///< ids in the zone
    pid_t pid = 0;
  };
  struct Shared {
    Stamp stamp;
    std::vector<net::Lease> leases;
    std::map<std::string, Known> containers;
  };
  static Stamp stamp(const std::string& path);
  void look(const net::Lease& lease, const Shared& shared, Known& known, net::dns::Zone& zone);

  const state::Paths& paths_;
  std::string project_;
  std::map<std::string, Shared> networks_;
};

}  // namespace compose::supervisor

#pragma once
// What a crash of one service means for those that depend on it. Docker Compose forgets `depends_on` after `up`; here a
// dependent with `restart: true`, and one that lives in the namespaces of the service that crashed, is restarted when
// that service is ready again after its policy has restarted it.
#include <set>
#include <string>
#include <vector>

#include "supervisor/containers.hpp"

namespace compose::supervisor {

class Recovery {
 public:
  using Restart = std::function<void(const std::vector<std::string>& services)>;
  Recovery(const Containers& containers, Restart restart) : containers_{containers}, restart_{std::move(restart)} {}

  void changed(const Container& container);

 private:
  std::vector<std::string> dependents(const std::string& service) const;

  const Containers& containers_;
  Restart restart_;
  std::set<std::string> crashed_;  ///< ids of containers that their policy restarts
};

/// Running, and healthy where there is a health check.
bool ready(const Container& container);

}  // namespace compose::supervisor

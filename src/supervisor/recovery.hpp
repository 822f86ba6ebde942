#pragma once
// Restarts those that depend on a service when it is back after a crash (policy/dependency.hpp says whom).
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
  const Containers& containers_;
  Restart restart_;
  policy::Crashes crashes_;
};

}  // namespace compose::supervisor

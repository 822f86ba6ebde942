#pragma once
// The requests that only look: `events`, `wait`, `status`. They are answered at once, beside whatever is going on.
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "supervisor/containers.hpp"
#include "supervisor/control_server.hpp"

namespace compose::supervisor {

class Watchers {
 public:
  Watchers(const Context& context, const Containers& containers) : context_{context}, containers_{containers} {}

  /// False when `request` is none of these.
  bool handle(const ConnectionPtr& connection, const nlohmann::json& request);
  void closed(const ConnectionPtr& connection);
  /// Tells those who watch, and writes it into the journal (state/events.hpp).
  void event(const Container& container, const std::string& action);
  void changed(const Container& container);

 private:
  struct Watcher {
    ConnectionPtr connection;
    std::vector<std::string> services;
    bool waits = false;  ///< for the first of them to end
  };
  nlohmann::json status() const;
  bool concerns(const Watcher& watcher, const Container& container) const;

  const Context& context_;
  const Containers& containers_;
  std::vector<Watcher> watchers_;
};

}  // namespace compose::supervisor

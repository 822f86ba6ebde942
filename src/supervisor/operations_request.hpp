#pragma once
// A request as it came over the wire, and the options every operation reads from it.
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/operations.hpp"

namespace compose::supervisor {

struct Operations::Request {
  ConnectionPtr connection;
  nlohmann::json body;

  std::string op() const { return body.value("op", ""); }
  nlohmann::json options() const { return body.value("options", nlohmann::json::object()); }
  /// A list that may stand in the request itself or among its options.
  std::vector<std::string> services() const {
    const nlohmann::json inner = options();
    const nlohmann::json& owner = inner.contains("services") ? inner : body;
    return owner.value("services", std::vector<std::string>{});
  }
  bool flag(const char* name) const {
    const nlohmann::json inner = options();
    const auto it = inner.find(name);
    return it != inner.end() && it->is_boolean() && it->get<bool>();
  }
  std::optional<std::chrono::seconds> timeout() const {
    const nlohmann::json inner = options();
    const auto it = inner.find("timeout");
    if (it == inner.end() || !it->is_number_integer() || it->get<std::int64_t>() < 0) return std::nullopt;
    return std::chrono::seconds{it->get<std::int64_t>()};
  }
};

}  // namespace compose::supervisor

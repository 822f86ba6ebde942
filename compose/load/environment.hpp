#pragma once
// The variables a load knows, each with the place it came from.
#include <map>
#include <string>
#include <string_view>

#include "yaml/value.hpp"

namespace compose::load {

struct Variable {
  std::string value;
  std::string origin;  ///< "shell", "env file", "project name"
  yaml::Place place;   ///< in the env file, when it came from one
};

class Environment {
 public:
  void set(std::string name, Variable variable) { variables_.insert_or_assign(std::move(name), std::move(variable)); }
  /// Adds what is not there yet.
  void add_missing(const Environment& other) {
    for (const auto& [name, variable] : other.variables_) variables_.emplace(name, variable);
  }
  const Variable* find(std::string_view name) const {
    const auto found = variables_.find(name);
    return found == variables_.end() ? nullptr : &found->second;
  }
  std::string value_or(std::string_view name, std::string other) const {
    const Variable* variable = find(name);
    return variable == nullptr ? std::move(other) : variable->value;
  }
  const std::map<std::string, Variable, std::less<>>& all() const { return variables_; }

 private:
  std::map<std::string, Variable, std::less<>> variables_;
};

}  // namespace compose::load

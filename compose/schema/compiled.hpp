#pragma once
// The schema as the validator walks it: references resolved, patterns turned into functions.
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "yaml/value.hpp"

namespace compose::schema {

using Matcher = bool (*)(std::string_view text);

struct Node {
  std::uint8_t types = 0;  ///< bits by yaml::Kind; 0 = any. Integers fit "number" too.
  std::unordered_map<std::string, const Node*> properties;
  std::vector<std::pair<Matcher, const Node*>> pattern_properties;
  bool closed = false;  ///< additionalProperties: false
  const Node* items = nullptr;
  std::vector<const Node*> one_of;
  std::vector<std::string> required;
  std::vector<std::string> values;  ///< enum
  bool unique = false;
  std::optional<double> minimum;
  std::optional<double> maximum;
  Matcher pattern = nullptr;
  std::string pattern_text;
};

class Compiled {
 public:
  explicit Compiled(std::string_view json);
  const Node* root() const { return root_; }
  const std::vector<std::string>& unknown_patterns() const { return unknown_patterns_; }

 private:
  const Node* compile(const yaml::Value& source);
  const Node* reference(const std::string& name);
  void compile_object(const yaml::Value& source, Node& node);
  Matcher matcher(const std::string& pattern);

  yaml::Value source_;
  std::deque<Node> nodes_;  // stable addresses
  std::unordered_map<std::string, const Node*> definitions_;
  std::vector<std::string> unknown_patterns_;
  const Node* root_ = nullptr;
};

constexpr std::uint8_t type_bit(yaml::Kind kind) {
  return static_cast<std::uint8_t>(1U << static_cast<unsigned>(kind));
}

}  // namespace compose::schema

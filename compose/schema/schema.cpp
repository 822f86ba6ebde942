#include "compose/schema/schema.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "base/strings.hpp"
#include "compose/schema/compiled.hpp"
#include "compose/schema/suggest.hpp"
#include "yaml/write.hpp"

namespace compose::schema {
namespace {

using yaml::Entry;
using yaml::Kind;
using yaml::Value;

const Compiled& compiled() {
  static const Compiled schema(text());
  return schema;
}

bool whole(const Value& value) { return value.kind() == Kind::real && value.as_real() == std::floor(value.as_real()); }

bool type_fits(const Value& value, const Node& node) {
  if (node.types == 0 || (node.types & type_bit(value.kind())) != 0) return true;
  return (node.types & type_bit(Kind::integer)) != 0 && whole(value);
}

// "a string, a number or a list"
std::string type_words(std::uint8_t types) {
  std::vector<std::string> words;
  const auto has = [&](Kind kind) { return (types & type_bit(kind)) != 0; };
  if (has(Kind::mapping)) words.emplace_back("a mapping");
  if (has(Kind::sequence)) words.emplace_back("a list");
  if (has(Kind::string)) words.emplace_back("a string");
  if (has(Kind::real)) {
    words.emplace_back("a number");
  } else if (has(Kind::integer)) {
    words.emplace_back("a whole number");
  }
  if (has(Kind::boolean)) words.emplace_back("a boolean");
  if (has(Kind::null)) words.emplace_back("null");
  if (words.size() == 1) return words[0];
  const std::string last = words.back();
  words.pop_back();
  return join(words, ", ") + " or " + last;
}

std::uint8_t all_types(const Node& node) {
  std::uint8_t types = node.types;
  for (const Node* branch : node.one_of) types |= all_types(*branch);
  return types;
}

const Node* property(const Node& node, const std::string& key) {
  if (const auto found = node.properties.find(key); found != node.properties.end()) return found->second;
  for (const auto& [matches, schema] : node.pattern_properties) {
    if (matches(key)) return schema;
  }
  return nullptr;
}

// The first two equal items of a list, if there are any.
std::optional<std::pair<std::size_t, std::size_t>> equal_items(const yaml::Sequence& items) {
  if (items.size() < 2) return std::nullopt;
  constexpr std::size_t kFew = 16;
  if (items.size() <= kFew && std::all_of(items.begin(), items.end(), [](const Value& item) { return item.is_string(); })) {
    for (std::size_t i = 1; i < items.size(); ++i) {
      for (std::size_t k = 0; k < i; ++k) {
        if (items[k].as_string() == items[i].as_string()) return std::pair{k, i};
      }
    }
    return std::nullopt;
  }
  std::unordered_map<std::string, std::size_t> seen;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const auto [known, added] = seen.emplace(yaml::to_json(items[i], {true, false, false}), i);
    if (!added) return std::pair{known->second, i};
  }
  return std::nullopt;
}

// Whether the value fits, without a word.
bool fits(const Value& value, const Node& node) {
  if (value.broken) return true;
  if (!type_fits(value, node)) return false;
  if (!node.one_of.empty() &&
      std::none_of(node.one_of.begin(), node.one_of.end(), [&](const Node* b) { return fits(value, *b); })) {
    return false;
  }
  if (value.is_string()) {
    const std::string& text = value.as_string();
    if (!node.values.empty() && std::find(node.values.begin(), node.values.end(), text) == node.values.end())
      return false;
    return node.pattern == nullptr || node.pattern(text);
  }
  if (value.is_number()) {
    return (!node.minimum || value.as_real() >= *node.minimum) && (!node.maximum || value.as_real() <= *node.maximum);
  }
  if (value.is_sequence()) {
    if (node.items != nullptr && !std::all_of(value.items().begin(), value.items().end(),
                                              [&](const Value& item) { return fits(item, *node.items); })) {
      return false;
    }
    return !node.unique || !equal_items(value.items());
  }
  if (!value.is_mapping()) return true;
  for (const std::string& key : node.required) {
    if (!value.entries().contains(key)) return false;
  }
  return std::all_of(value.entries().begin(), value.entries().end(), [&](const Entry& entry) {
    const Node* schema = property(node, entry.key);
    return schema == nullptr ? !node.closed : fits(entry.value, *schema);
  });
}

class Validator {
 public:
  std::vector<Problem> problems;

  void check(Value& value, const Node& node) {
    if (value.broken) return;
    if (!type_fits(value, node)) {
      wrong_type(value, all_types(node));
      return;
    }
    if (!node.one_of.empty()) check_one_of(value, node);
    if (value.is_string()) {
      check_text(value, node);
    } else if (value.is_number()) {
      check_number(value, node);
    } else if (value.is_sequence()) {
      check_list(value, node);
    } else if (value.is_mapping()) {
      check_mapping(value, node);
    }
  }

 private:
  std::string path() const {
    std::string out;
    for (const std::string& step : path_) {
      if (!out.empty() && !step.starts_with('[')) out += '.';
      out += step;
    }
    return out;
  }

  Problem& report(Value& value, std::string message, std::string hint = {}) {
    value.broken = true;
    problems.push_back({value.place, path(), std::move(message), std::move(hint), {}, {}});
    return problems.back();
  }

  void wrong_type(Value& value, std::uint8_t types) {
    std::string hint;
    if (value.is_scalar() && !value.is_null() && (types & type_bit(Kind::string)) != 0) {
      hint = fmt::format("put it in quotes: \"{}\"", yaml::scalar_text(value));
    } else if (value.is_null()) {
      hint = "give it a value, or remove the line";
    }
    report(value, fmt::format("must be {}, not {}", type_words(types), yaml::kind_name(value)), std::move(hint));
  }

  // Reports by the branch the author most likely meant: the one that takes a value of this kind.
  void check_one_of(Value& value, const Node& node) {
    const Node* meant = nullptr;
    for (const Node* branch : node.one_of) {
      if (fits(value, *branch)) return;
      const bool kind_fits = (all_types(*branch) & type_bit(value.kind())) != 0;
      if (kind_fits && meant == nullptr) meant = branch;
    }
    if (meant == nullptr) {
      wrong_type(value, all_types(node));
    } else {
      check(value, *meant);
    }
  }

  void check_text(Value& value, const Node& node) {
    const std::string& text = value.as_string();
    if (!node.values.empty() && std::find(node.values.begin(), node.values.end(), text) == node.values.end()) {
      report(value, fmt::format("\"{}\" must be one of {}", text, join(node.values, ", ")),
             did_you_mean(text, node.values));
    } else if (node.pattern != nullptr && !node.pattern(text)) {
      report(value, fmt::format("\"{}\" does not match the pattern {}", text, node.pattern_text));
    }
  }

  void check_number(Value& value, const Node& node) {
    if (node.minimum && value.as_real() < *node.minimum) {
      report(value, fmt::format("must be greater than or equal to {}", *node.minimum));
    } else if (node.maximum && value.as_real() > *node.maximum) {
      report(value, fmt::format("must be less than or equal to {}", *node.maximum));
    }
  }

  void check_list(Value& value, const Node& node) {
    if (node.items != nullptr) {
      for (std::size_t i = 0; i < value.items().size(); ++i) {
        path_.push_back(fmt::format("[{}]", i));
        check(value.items()[i], *node.items);
        path_.pop_back();
      }
    }
    if (!node.unique) return;
    if (const auto equal = equal_items(value.items())) {
      Value& second = value.items()[equal->second];
      if (second.broken) return;
      path_.push_back(fmt::format("[{}]", equal->second));
      Problem& problem = report(second, fmt::format("items at {} and {} are equal", equal->first, equal->second),
                                "remove one of them");
      problem.other = value.items()[equal->first].place;
      problem.other_note = "the first one";
      path_.pop_back();
    }
  }

  void check_mapping(Value& value, const Node& node) {
    for (Entry& entry : value.entries()) {
      const Node* schema = property(node, entry.key);
      if (schema == nullptr && !node.closed) continue;
      path_.push_back(entry.key);
      if (schema == nullptr) {
        unknown(entry, node);
      } else {
        check(entry.value, *schema);
      }
      path_.pop_back();
    }
    for (const std::string& key : node.required) {
      if (value.entries().contains(key)) continue;
      report(value, fmt::format("missing property \"{}\"", key), fmt::format("add {}:", key));
    }
  }

  void unknown(Entry& entry, const Node& node) {
    if (entry.value.broken) return;
    entry.value.broken = true;
    std::vector<std::string> known;
    for (const auto& [key, schema] : node.properties) known.push_back(key);
    std::sort(known.begin(), known.end());
    constexpr std::size_t kMostHints = 100;  // who has more mistakes than this reads no more of them
    std::string hint = problems.size() < kMostHints ? did_you_mean(entry.key, known) : std::string{};
    if (known.empty()) {
      hint = "names have letters, digits, '.', '_' and '-' only";
    }
    const char* what = known.empty() ? "invalid name" : "unknown attribute";
    problems.push_back({entry.key_place, path(), fmt::format("{} \"{}\"", what, entry.key), std::move(hint), {}, {}});
  }

  std::vector<std::string> path_;
};

}  // namespace

std::vector<Problem> validate(Value& document) {
  Validator validator;
  validator.check(document, *compiled().root());
  return std::move(validator.problems);
}

std::vector<std::string> unknown_patterns() { return compiled().unknown_patterns(); }

}  // namespace compose::schema

#include "compose/schema/compiled.hpp"

#include <algorithm>

#include "yaml/write.hpp"

namespace compose::schema {
namespace {

using yaml::Kind;
using yaml::Value;

bool lower(char c) { return c >= 'a' && c <= 'z'; }
bool digit(char c) { return c >= '0' && c <= '9'; }
bool alphanumeric(char c) { return lower(c) || digit(c) || (c >= 'A' && c <= 'Z'); }
bool name_character(char c) { return alphanumeric(c) || c == '.' || c == '_' || c == '-'; }

bool is_extension(std::string_view text) { return text.starts_with("x-"); }
bool is_name(std::string_view text) { return !text.empty() && std::all_of(text.begin(), text.end(), name_character); }
bool is_not_empty(std::string_view text) { return !text.empty(); }
bool is_lower_word(std::string_view text) { return !text.empty() && std::all_of(text.begin(), text.end(), lower); }

// Unanchored, as the schema writes it: somewhere a letter or digit is followed by a name character.
bool is_container_name(std::string_view text) {
  for (std::size_t i = 0; i + 1 < text.size(); ++i) {
    if (alphanumeric(text[i]) && name_character(text[i + 1])) return true;
  }
  return false;
}

bool is_pull_policy(std::string_view text) {
  constexpr std::string_view kWords[] = {"always",  "never",   "build", "if_not_present",
                                         "missing", "refresh", "daily", "weekly"};
  for (const std::string_view word : kWords) {
    if (text.find(word) != std::string_view::npos) return true;
  }
  constexpr std::string_view kEvery = "every_";
  for (auto at = text.find(kEvery); at != std::string_view::npos; at = text.find(kEvery, at + 1)) {
    std::size_t i = at + kEvery.size();
    const std::size_t begin = i;
    while (i < text.size() && digit(text[i])) ++i;
    if (i > begin && i < text.size() && std::string_view("wdhms").find(text[i]) != std::string_view::npos) return true;
  }
  return false;
}

bool always(std::string_view) { return true; }

std::uint8_t types_of(const std::string& name) {
  if (name == "string") return type_bit(Kind::string);
  if (name == "integer") return type_bit(Kind::integer);
  if (name == "number") return type_bit(Kind::integer) | type_bit(Kind::real);
  if (name == "boolean") return type_bit(Kind::boolean);
  if (name == "null") return type_bit(Kind::null);
  if (name == "array") return type_bit(Kind::sequence);
  return type_bit(Kind::mapping);
}

}  // namespace

Compiled::Compiled(std::string_view json) {
  yaml::from_json(json, source_);
  root_ = compile(source_);
}

Matcher Compiled::matcher(const std::string& pattern) {
  constexpr std::pair<std::string_view, Matcher> kKnown[] = {
      {"^x-", is_extension},
      {"^[a-zA-Z0-9._-]+$", is_name},
      {"^.+$", is_not_empty},
      {".+", is_not_empty},
      {"^[a-z]+$", is_lower_word},
      {"[a-zA-Z0-9][a-zA-Z0-9_.-]+", is_container_name},
      {"always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+", is_pull_policy},
  };
  for (const auto& [text, function] : kKnown) {
    if (text == pattern) return function;
  }
  unknown_patterns_.push_back(pattern);
  return always;
}

const Node* Compiled::reference(const std::string& name) {
  constexpr std::string_view kPrefix = "#/$defs/";
  const std::string key = name.substr(std::min(kPrefix.size(), name.size()));
  if (const auto found = definitions_.find(key); found != definitions_.end()) return found->second;
  const Value* source = source_.get("$defs") == nullptr ? nullptr : source_.get("$defs")->get(key);
  const Node* node = source == nullptr ? &nodes_.emplace_back() : compile(*source);
  definitions_.emplace(key, node);
  return node;
}

const Node* Compiled::compile(const Value& source) {
  if (const Value* ref = source.get("$ref")) return reference(ref->as_string());
  Node& node = nodes_.emplace_back();
  if (const Value* type = source.get("type")) {
    if (type->is_string()) {
      node.types = types_of(type->as_string());
    } else {
      for (const Value& item : type->items()) node.types |= types_of(item.as_string());
    }
  }
  if (const Value* list = source.get("oneOf")) {
    for (const Value& item : list->items()) node.one_of.push_back(compile(item));
  }
  if (const Value* list = source.get("enum")) {
    for (const Value& item : list->items()) node.values.push_back(item.as_string());
  }
  if (const Value* pattern = source.get("pattern")) {
    node.pattern_text = pattern->as_string();
    node.pattern = matcher(node.pattern_text);
  }
  if (const Value* items = source.get("items")) node.items = compile(*items);
  if (const Value* unique = source.get("uniqueItems")) node.unique = unique->as_bool();
  if (const Value* minimum = source.get("minimum")) node.minimum = minimum->as_real();
  if (const Value* maximum = source.get("maximum")) node.maximum = maximum->as_real();
  compile_object(source, node);
  return &node;
}

void Compiled::compile_object(const Value& source, Node& node) {
  if (const Value* properties = source.get("properties")) {
    for (const yaml::Entry& entry : properties->entries()) node.properties.emplace(entry.key, compile(entry.value));
  }
  if (const Value* patterns = source.get("patternProperties")) {
    for (const yaml::Entry& entry : patterns->entries()) {
      node.pattern_properties.emplace_back(matcher(entry.key), compile(entry.value));
    }
  }
  if (const Value* more = source.get("additionalProperties")) node.closed = more->is_bool() && !more->as_bool();
  if (const Value* required = source.get("required")) {
    for (const Value& item : required->items()) node.required.push_back(item.as_string());
  }
}

}  // namespace compose::schema

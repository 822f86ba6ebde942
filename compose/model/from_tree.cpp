#include "compose/model/from_tree.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <type_traits>

#include "base/strings.hpp"
#include "compose/model/fields.hpp"

namespace compose::model {
namespace {

using yaml::Entry;
using yaml::Value;

// Reads the members of one mapping. The first value that does not fit stops everything.
class Reader {
 public:
  Reader(const Value& tree, std::string path, std::optional<Error>& error)
      : tree_{tree}, path_{std::move(path)}, error_{error} {}

  template <typename T>
  void operator()(std::string_view name, T&& member) {
    const Value* value = tree_.get(name);
    if (value == nullptr || error_) return;
    read(*value, std::forward<T>(member), path_.empty() ? std::string(name) : path_ + "." + std::string(name));
  }

  template <typename Function>
  void inside(std::string_view name, Function function) {
    const Value* value = tree_.get(name);
    if (value == nullptr || error_) return;
    Reader inner(*value, path_ + "." + std::string(name), error_);
    function(inner);
  }

  void list_of(std::string_view name, std::string_view key, Strings& member) {
    const Value* value = tree_.get(name);
    if (value == nullptr || !value->is_sequence()) return;
    for (const Value& item : value->items()) {
      if (const Value* text = item.get(key)) member.push_back(yaml::scalar_text(*text));
    }
  }

 private:
  void fail(const std::string& path, std::string_view wanted) {
    if (!error_) error_ = make_error(Errc::corrupt, "{}: expected {}", path, wanted);
  }

  void read(const Value& value, std::string& member, const std::string& path) {
    if (!value.is_scalar() || value.is_null()) return fail(path, "text");
    member = yaml::scalar_text(value);
  }

  void read(const Value& value, bool& member, const std::string& path) {
    if (!value.is_bool()) return fail(path, "a boolean");
    member = value.as_bool();
  }

  template <typename T>
    requires(std::is_integral_v<T> && !std::is_same_v<T, bool>)
  void read(const Value& value, T& member, const std::string& path) {
    std::int64_t number = 0;
    if (value.is_integer()) {
      number = value.as_integer();
    } else if (const auto digits = value.is_string() ? parse_signed(value.as_string()) : std::nullopt) {
      number = *digits;
    } else {
      return fail(path, "a whole number");
    }
    // What the specification leaves open (a retry count below zero) must not become something huge.
    constexpr auto kMost = std::is_same_v<T, std::uint64_t> ? std::numeric_limits<std::int64_t>::max()
                                                            : static_cast<std::int64_t>(std::numeric_limits<T>::max());
    constexpr auto kLeast = static_cast<std::int64_t>(std::numeric_limits<T>::min());
    member = static_cast<T>(std::clamp(number, kLeast, kMost));
  }

  void read(const Value& value, double& member, const std::string& path) {
    if (!value.is_number()) return fail(path, "a number");
    member = value.as_real();
  }

  void read(const Value& value, Duration& member, const std::string& path) {
    const auto duration = parse_duration(value.is_string() ? value.as_string() : std::string());
    if (!duration) return fail(path, "a duration");
    member = *duration;
  }

  void read(const Value& value, Condition& member, const std::string& path) {
    const std::string text = value.is_string() ? value.as_string() : "";
    if (text == "service_started") {
      member = Condition::started;
    } else if (text == "service_healthy") {
      member = Condition::healthy;
    } else if (text == "service_completed_successfully") {
      member = Condition::completed_successfully;
    } else {
      fail(path, "a condition");
    }
  }

  template <typename T>
  void read(const Value& value, std::optional<T>& member, const std::string& path) {
    read(value, member.emplace(), path);
  }

  void read(const Value& value, std::optional<std::string>& member, const std::string& path) {
    if (!value.is_null()) read(value, member.emplace(), path);
  }

  template <typename T>
  void read(const Value& value, std::vector<T>& member, const std::string& path) {
    if (!value.is_sequence()) return fail(path, "a list");
    std::size_t index = 0;
    for (const Value& item : value.items()) {
      read(item, member.emplace_back(), path + "[" + std::to_string(index++) + "]");
    }
  }

  template <typename T>
  void read(const Value& value, std::map<std::string, T>& member, const std::string& path) {
    if (!value.is_mapping()) return fail(path, "a mapping");
    for (const Entry& entry : value.entries()) read(entry.value, member[entry.key], path + "." + entry.key);
  }

  void read(const Value& value, Ulimit& member, const std::string& path) {
    if (value.is_integer()) {
      member.soft = member.hard = value.as_integer();
    } else {
      object(value, member, path);
    }
  }

  void read(const Value& value, Schedule& member, const std::string& path) {
    if (value.is_string()) {
      member.cron = value.as_string();
    } else {
      object(value, member, path);
    }
  }

  void read(const Value& value, Service& member, const std::string& path) {
    object(value, member, path);
    member.name = path.substr(path.find('.') + 1);
  }

  template <typename T>
    requires std::is_class_v<T>
  void read(const Value& value, T& member, const std::string& path) {
    object(value, member, path);
  }

  template <typename T>
  void object(const Value& value, T& member, const std::string& path) {
    if (!value.is_mapping()) return fail(path, "a mapping");
    Reader inner(value, path, error_);
    fields(inner, member);
  }

  template <typename T>
  void read(const Value& value, Bytes<T> member, const std::string& path) {
    read(value, member.value, path);
  }
  void read(const Value& value, Kept member, const std::string& path) { read(value, member.value, path); }
  void read(const Value& value, OptOut member, const std::string& path) { read(value, member.value, path); }
  void read(const Value& value, Nullable member, const std::string& path) {
    if (!value.is_null()) read(value, member.value, path);
  }

  template <typename T>
  void read(const Value& value, MapOfNullable<T> member, const std::string& path) {
    if (!value.is_mapping()) return fail(path, "a mapping");
    for (const Entry& entry : value.entries()) {
      T& object_member = member.value[entry.key];
      if (!entry.value.is_null()) read(entry.value, object_member, path + "." + entry.key);
    }
  }

  void read(const Value& value, Octal member, const std::string& path) {
    const std::string digits = value.is_string() ? value.as_string() : "";
    std::uint32_t mode = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), mode, 8);
    if (error != std::errc{} || end != digits.data() + digits.size()) return fail(path, "an octal mode");
    member.value = mode;
  }

  void read(const Value& value, Hosts member, const std::string& path) {
    Strings lines;
    read(value, lines, path);
    for (const std::string& line : lines) {
      const auto equals = line.find('=');
      if (equals == std::string::npos) return fail(path, "host=address");
      member.value[line.substr(0, equals)].push_back(line.substr(equals + 1));
    }
  }

  void read(const Value& value, Pairs member, const std::string& path) {
    Strings lines;
    read(value, lines, path);
    for (const std::string& line : lines) {
      const auto equals = line.find('=');
      member.value[line.substr(0, equals)] = equals == std::string::npos ? "" : line.substr(equals + 1);
    }
  }

  const Value& tree_;
  std::string path_;
  std::optional<Error>& error_;
};

// Positions of a tree, without those that say no more than the value above.
void collect(const Value& value, const std::string& path, const yaml::Place& above, const Describe& describe,
             Positions& out) {
  const auto child = [&](const Value& inner, const std::string& inner_path, const yaml::Place& key) {
    const yaml::Place& place = inner.is_scalar() && inner.place.known() ? inner.place : key.known() ? key : inner.place;
    if (place.known() && !(place == above)) out.set(inner_path, describe(place));
    collect(inner, inner_path, place.known() ? place : above, describe, out);
  };
  if (const yaml::Mapping* mapping = value.if_mapping()) {
    for (const Entry& entry : *mapping) {
      child(entry.value, path.empty() ? entry.key : path + "." + entry.key, entry.key_place);
    }
  } else if (const yaml::Sequence* items = value.if_sequence()) {
    std::size_t index = 0;
    for (const Value& item : *items) child(item, path + "[" + std::to_string(index++) + "]", item.place);
  }
}

// The hidden content of a secret or config that comes from a variable.
void take_content(const Value& tree, std::string_view section, std::map<std::string, FileObject>& objects) {
  for (auto& [key, object] : objects) {
    const Value* entry = tree.get(section)->get(key);
    const Value* content = entry == nullptr ? nullptr : entry->get("#content");
    if (content != nullptr && content->is_string()) object.content = content->as_string();
  }
}

}  // namespace

Result<Project> project_from_tree(const Value& tree, const Value& disabled, const Describe& describe) {
  Project project;
  std::optional<Error> error;
  Reader reader(tree, "", error);
  fields(reader, project);
  Value holder = Value::mapping();
  holder.entries().set("services", disabled);
  if (disabled.is_mapping()) {
    Reader disabled_reader(holder, "", error);
    disabled_reader("services", project.disabled_services);
  }
  if (error) return *std::move(error);
  take_content(tree, "secrets", project.secrets);
  take_content(tree, "configs", project.configs);
  if (describe) {
    collect(tree, "", {}, describe, project.positions);
    collect(holder, "", {}, describe, project.positions);
  }
  return project;
}

}  // namespace compose::model

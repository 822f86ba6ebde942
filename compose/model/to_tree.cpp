#include <fmt/format.h>

#include <type_traits>

#include "compose/model/fields.hpp"
#include "compose/model/from_tree.hpp"

namespace compose::model {
namespace {

using yaml::Mapping;
using yaml::Value;

// Writes the members of one mapping; what is empty is left out.
class Writer {
 public:
  explicit Writer(Mapping& out) : out_{out} {}

  template <typename T>
  void operator()(std::string_view name, T&& member) {
    Value value;
    if (write(member, value)) out_.set(name, std::move(value));
  }

  template <typename Function>
  void inside(std::string_view name, Function function) {
    Value value = Value::mapping();
    Writer inner(value.entries());
    function(inner);
    if (!value.entries().empty()) out_.set(name, std::move(value));
  }

  void list_of(std::string_view name, std::string_view key, const Strings& member) {
    if (member.empty()) return;
    Value list = Value::sequence();
    for (const std::string& text : member) {
      Value item = Value::mapping();
      item.entries().set(key, Value::string(text));
      list.items().push_back(std::move(item));
    }
    out_.set(name, std::move(list));
  }

 private:
  static bool write(const std::string& member, Value& out) {
    out = Value::string(member);
    return !member.empty();
  }
  static bool write(const bool& member, Value& out) {
    out = Value::boolean(member);
    return member;
  }
  template <typename T>
    requires(std::is_integral_v<T> && !std::is_same_v<T, bool>)
  static bool write(const T& member, Value& out) {
    out = Value::integer(static_cast<std::int64_t>(member));
    return member != 0;
  }
  static bool write(const double& member, Value& out) {
    out = Value::real(member);
    return member != 0;
  }
  static bool write(const Duration& member, Value& out) {
    out = Value::string(format_duration(member));
    return member != Duration{};
  }
  static bool write(const Condition& member, Value& out) {
    out = Value::string(member == Condition::started   ? "service_started"
                        : member == Condition::healthy ? "service_healthy"
                                                       : "service_completed_successfully");
    return true;
  }
  template <typename T>
  static bool write(const std::optional<T>& member, Value& out) {
    if (!member) return false;
    write(*member, out);
    return true;
  }
  template <typename T>
  static bool write(const std::vector<T>& member, Value& out) {
    out = Value::sequence();
    for (const T& item : member) write(item, out.items().emplace_back());
    return !member.empty();
  }
  template <typename T>
  static bool write(const std::map<std::string, T>& member, Value& out) {
    out = Value::mapping();
    for (const auto& [key, item] : member) {
      Value value;
      write(item, value);
      out.entries().add(key, {}, std::move(value));
    }
    return !member.empty();
  }
  template <typename T>
    requires std::is_class_v<T>
  static bool write(const T& member, Value& out) {
    out = Value::mapping();
    Writer inner(out.entries());
    fields(inner, const_cast<T&>(member));  // one field list serves reading and writing; writing changes nothing
    return !out.entries().empty();
  }
  template <typename T>
  static bool write(const Bytes<T>& member, Value& out) {
    if (!write(member.value, out)) return false;
    out = Value::string(yaml::scalar_text(out));
    return true;
  }
  static bool write(const Kept& member, Value& out) {
    out = Value::boolean(member.value);
    return true;
  }
  static bool write(const OptOut& member, Value& out) {
    out = Value::boolean(member.value);
    return !member.value;
  }
  static bool write(const Nullable& member, Value& out) { return write(member.value, out); }
  template <typename T>
  static bool write(const MapOfNullable<T>& member, Value& out) {
    return write(member.value, out);
  }
  static bool write(const Octal& member, Value& out) {
    if (!member.value) return false;
    out = Value::string(fmt::format("0{:o}", *member.value));
    return true;
  }
  static bool write(const Hosts& member, Value& out) {
    out = Value::sequence();
    for (const auto& [host, addresses] : member.value) {
      for (const std::string& address : addresses) out.items().push_back(Value::string(host + "=" + address));
    }
    return !out.items().empty();
  }
  static bool write(const Pairs& member, Value& out) {
    out = Value::sequence();
    for (const auto& [name, value] : member.value) {
      out.items().push_back(Value::string(value.empty() ? name : name + "=" + value));
    }
    return !out.items().empty();
  }

  Mapping& out_;
};

template <typename T>
Value tree(const T& value) {
  Value out = Value::mapping();
  Writer writer(out.entries());
  fields(writer, const_cast<T&>(value));
  return out;
}

}  // namespace

Value tree_of(const Project& project) { return tree(project); }
Value tree_of(const Service& service) { return tree(service); }

}  // namespace compose::model

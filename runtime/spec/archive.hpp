#pragma once
// Reader and Writer of JSON objects for spec.cpp: one description of an object's members serves both.
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/error.hpp"

namespace compose::runtime::spec {

/// Fills values from one JSON object; remembers the first problem with the member's path.
class Reader {
 public:
  using Json = nlohmann::json;
  Reader(const Json& object, std::string path, std::optional<Error>& problem)
      : object_{object}, path_{std::move(path)}, problem_{problem} {}

  template <typename T>
  void operator()(const char* name, T& out) {
    if (const Json* member = find(name)) read(*member, out, join(name));
  }
  template <typename T>
  void always(const char* name, T& out) {
    (*this)(name, out);
  }
  template <typename Body>
  void object(const char* name, Body body) {
    const Json* member = find(name);
    if (member == nullptr) return;
    if (!member->is_object()) return fail(join(name), "an object");
    Reader inner{*member, join(name), problem_};
    body(inner);
  }
  void raw(const char* name, std::string& out) {
    if (const Json* member = find(name)) out = member->dump();
  }

  void read(const Json& value, std::string& out, const std::string& path) {
    if (!value.is_string()) return fail(path, "a string");
    out = value.get_ref<const std::string&>();
    // A zero byte would end the text early in every system call.
    if (out.find('\0') != std::string::npos) fail(path, "a string without a zero byte");
  }
  void read(const Json& value, bool& out, const std::string& path) {
    if (!value.is_boolean()) return fail(path, "true or false");
    out = value.get<bool>();
  }
  template <typename T>
    requires std::is_integral_v<T>
  void read(const Json& value, T& out, const std::string& path) {
    if (value.is_number_unsigned() && std::in_range<T>(value.get<std::uint64_t>())) {
      out = static_cast<T>(value.get<std::uint64_t>());
    } else if (value.is_number_integer() && !value.is_number_unsigned() &&
               std::in_range<T>(value.get<std::int64_t>())) {
      out = static_cast<T>(value.get<std::int64_t>());
    } else {
      fail(path, std::is_signed_v<T> ? "an integer in range" : "a positive integer in range");
    }
  }
  template <typename T>
  void read(const Json& value, std::optional<T>& out, const std::string& path) {
    read(value, out.emplace(), path);
  }
  template <typename T>
  void read(const Json& value, std::vector<T>& out, const std::string& path) {
    if (!value.is_array()) return fail(path, "an array");
    out.clear();
    out.reserve(value.size());
    for (const auto& element : value) {
      const std::string where = path + "[" + std::to_string(out.size()) + "]";
      read(element, out.emplace_back(), where);
    }
  }
  template <typename T>
  void read(const Json& value, std::map<std::string, T>& out, const std::string& path) {
    if (!value.is_object()) return fail(path, "an object");
    for (const auto& [key, element] : value.items()) read(element, out[key], path.empty() ? key : path + "." + key);
  }
  template <typename T>
    requires std::is_class_v<T>
  void read(const Json& value, T& out, const std::string& path) {
    if (!value.is_object()) return fail(path, "an object");
    Reader inner{value, path, problem_};
    fields(inner, out);
  }

 private:
  const Json* find(const char* name) const {
    const auto member = object_.find(name);
    // null counts as absent: Go's encoder writes it for nil slices.
    return member == object_.end() || member->is_null() ? nullptr : &*member;
  }
  std::string join(const char* name) const { return path_.empty() ? name : path_ + "." + name; }
  void fail(const std::string& path, const char* expected) {
    if (!problem_) problem_ = make_error(Errc::invalid, "{}: expected {}", path.empty() ? "the text" : path, expected);
  }

  const Json& object_;
  std::string path_;
  std::optional<Error>& problem_;
};

/// Collects members into a JSON object; empty texts, containers and absent values are left out.
class Writer {
 public:
  using Json = nlohmann::json;
  template <typename T>
  void operator()(const char* name, const T& value) {
    if (Json json = write(value); !json.is_null()) object_[name] = std::move(json);
  }
  void always(const char* name, bool value) { object_[name] = value; }
  template <typename Body>
  void object(const char* name, Body body) {
    Writer inner;
    body(inner);
    if (!inner.object_.empty()) object_[name] = std::move(inner.object_);
  }
  void raw(const char* name, const std::string& text) {
    if (!text.empty()) object_[name] = Json::parse(text, nullptr, false);
  }
  const Json& result() const { return object_; }

 private:
  static Json write(const std::string& text) { return text.empty() ? Json{} : Json(text); }
  static Json write(bool value) { return value ? Json(true) : Json{}; }
  template <typename T>
    requires std::is_integral_v<T>
  static Json write(T value) {
    return Json(value);
  }
  template <typename T>
  static Json write(const std::optional<T>& value) {
    if (!value) return {};
    if constexpr (std::is_arithmetic_v<T>) {
      return Json(*value);
    } else {
      return write(*value);
    }
  }
  template <typename T>
  static Json write(const std::vector<T>& list) {
    if (list.empty()) return {};
    Json array = Json::array();
    for (const auto& element : list) {
      Json json = write(element);
      // An element counts even when it is empty: `sh -c ""`.
      if (json.is_null()) json = std::is_same_v<T, std::string> ? Json("") : Json::object();
      array.push_back(std::move(json));
    }
    return array;
  }
  template <typename T>
  static Json write(const std::map<std::string, T>& map) {
    if (map.empty()) return {};
    Json object = Json::object();
    for (const auto& [key, element] : map) {
      Json json = write(element);
      if (json.is_null()) json = std::is_same_v<T, std::string> ? Json("") : Json::object();
      object[key] = std::move(json);
    }
    return object;
  }
  template <typename T>
    requires std::is_class_v<T>
  static Json write(const T& value) {
    Writer inner;
    fields(inner, value);
    return inner.object_.empty() ? Json{} : std::move(inner.object_);
  }
  Json object_ = Json::object();
};

}  // namespace compose::runtime::spec

#pragma once
// Values as bytes for another process of ours: one description of the members (a `fields` function) serves writing,
// reading and the readable form. All numbers travel as 8 bytes in host order, texts and lists with their length first.
#include <concepts>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/error.hpp"

namespace compose::runtime::codec {

template <typename T>
concept Number = std::is_arithmetic_v<T> || std::is_enum_v<T>;

class Encoder {
 public:
  template <typename T>
  void operator()(const char* /*name*/, const T& value) {
    put(value);
  }
  std::string take() && { return std::move(bytes_); }

 private:
  template <Number T>
  void put(T value) {
    const auto wide = static_cast<std::uint64_t>(value);
    bytes_.append(reinterpret_cast<const char*>(&wide), sizeof wide);  // NOLINT: host order on purpose
  }
  void put(const std::string& text) {
    put(text.size());
    bytes_ += text;
  }
  template <typename T>
  void put(const std::optional<T>& value) {
    put(value.has_value());
    if (value) put(*value);
  }
  template <typename T>
  void put(const std::vector<T>& list) {
    put(list.size());
    for (const auto& element : list) put(element);
  }
  template <typename A, typename B>
  void put(const std::pair<A, B>& pair) {
    put(pair.first);
    put(pair.second);
  }
  template <typename T>
    requires std::is_class_v<T>
  void put(const T& value) {
    fields(*this, value);
  }
  std::string bytes_;
};

/// Never reads past the end, never makes a list longer than the bytes that are left could fill. After the first
/// problem everything reads as zero; ok() tells.
class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : rest_{bytes} {}
  template <typename T>
  void operator()(const char* name, T& value) {
    get(value);
    if (!ok_ && culprit_ == nullptr) culprit_ = name;
  }
  /// Everything was read and nothing is left over.
  bool complete() const { return ok_ && rest_.empty(); }
  const char* culprit() const { return culprit_ == nullptr ? "end" : culprit_; }

 private:
  template <Number T>
  void get(T& value) {
    std::uint64_t wide = 0;
    if (rest_.size() < sizeof wide) return fail();
    std::memcpy(&wide, rest_.data(), sizeof wide);
    rest_.remove_prefix(sizeof wide);
    value = static_cast<T>(wide);
    if (static_cast<std::uint64_t>(value) != wide) fail();
  }
  void get(std::string& text) {
    const std::size_t size = length();
    text.assign(rest_.substr(0, size));
    rest_.remove_prefix(size);
  }
  template <typename T>
  void get(std::optional<T>& value) {
    bool present = false;
    get(present);
    if (present && ok_) {
      get(value.emplace());
    } else {
      value.reset();
    }
  }
  template <typename T>
  void get(std::vector<T>& list) {
    const std::size_t size = length();
    list.clear();
    for (std::size_t i = 0; i < size && ok_; ++i) get(list.emplace_back());
  }
  template <typename A, typename B>
  void get(std::pair<A, B>& pair) {
    get(pair.first);
    get(pair.second);
  }
  template <typename T>
    requires std::is_class_v<T>
  void get(T& value) {
    if (ok_) fields(*this, value);
  }
  /// Every element takes a byte at least.
  std::size_t length() {
    std::uint64_t size = 0;
    get(size);
    if (size > rest_.size()) fail();
    return ok_ ? static_cast<std::size_t>(size) : 0;
  }
  void fail() {
    ok_ = false;
    rest_ = {};
  }
  std::string_view rest_;
  bool ok_ = true;
  const char* culprit_ = nullptr;
};

/// One line "path = value" per member that is not empty or zero.
class TextWriter {
 public:
  template <typename T>
  void operator()(const char* name, const T& value) {
    const std::size_t before = path_.size();
    if (!path_.empty()) path_ += '.';
    path_ += name;
    put(value);
    path_.resize(before);
  }
  std::string take() && { return std::move(text_); }

 private:
  template <Number T>
  void put(T value) {
    if (value == T{}) return;
    if constexpr (std::is_same_v<T, bool>) {
      line("true");
    } else if constexpr (std::is_enum_v<T>) {
      line(fmt::format("{}", static_cast<std::uint64_t>(value)));
    } else {
      line(fmt::format("{}", value));
    }
  }
  void put(const std::string& text) {
    if (text.empty()) return;
    bool plain = text.size() <= 512;
    for (const char c : text) plain = plain && c >= ' ' && c != '\x7f';
    line(plain ? text : fmt::format("<{} bytes>", text.size()));
  }
  template <typename T>
  void put(const std::optional<T>& value) {
    if (value) {
      if constexpr (Number<T>) {
        line(fmt::format("{}", *value));
      } else {
        put(*value);
      }
    }
  }
  template <typename T>
  void put(const std::vector<T>& list) {
    const std::size_t before = path_.size();
    for (std::size_t i = 0; i < list.size(); ++i) {
      path_ += fmt::format("[{}]", i);
      if constexpr (Number<T>) {
        line(fmt::format("{}", list[i]));
      } else {
        put(list[i]);
      }
      path_.resize(before);
    }
  }
  template <typename A, typename B>
  void put(const std::pair<A, B>& pair) {
    line(fmt::format("{} = {}", pair.first, pair.second));
  }
  template <typename T>
    requires std::is_class_v<T>
  void put(const T& value) {
    fields(*this, value);
  }
  void line(const std::string& value) { text_ += path_ + " = " + value + "\n"; }
  std::string path_;
  std::string text_;
};

}  // namespace compose::runtime::codec

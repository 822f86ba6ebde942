#pragma once
// Values as bytes for another process of ours: one description of the members (a `fields` function) serves writing,
// reading and the readable form. Texts and lists travel with their length first.
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

/// How numbers travel.
enum class Numbers : std::uint8_t {
  wide,    ///< as 8 bytes in host order
  packed,  ///< seven bits a byte, low ones first, all but the last with the eighth bit: most are small
};

template <Numbers kNumbers>
class BasicEncoder {
 public:
  template <typename T>
  void operator()(const char* /*name*/, const T& value) {
    put(value);
  }
  std::string take() && { return std::move(bytes_); }

 private:
  template <Number T>
  void put(T value) {
    auto wide = static_cast<std::uint64_t>(value);
    if constexpr (kNumbers == Numbers::wide) {
      bytes_.append(reinterpret_cast<const char*>(&wide), sizeof wide);  // NOLINT: host order on purpose
      return;
    }
    for (; wide >= 0x80; wide >>= 7) bytes_.push_back(static_cast<char>(wide | 0x80));
    bytes_.push_back(static_cast<char>(wide));
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

using Encoder = BasicEncoder<Numbers::wide>;
using PackedEncoder = BasicEncoder<Numbers::packed>;

/// Never reads past the end, never makes a list longer than the bytes that are left could fill. After the first
/// problem everything reads as zero; ok() tells.
template <Numbers kNumbers>
class BasicDecoder {
 public:
  explicit BasicDecoder(std::string_view bytes) : rest_{bytes} {}
  template <typename T>
  void operator()(const char* name, T& value) {
    get(value);
    if (!ok_ && culprit_ == nullptr) culprit_ = name;
  }
  bool ok() const { return ok_; }
  /// Everything was read and nothing is left over.
  bool complete() const { return ok_ && rest_.empty(); }
  /// What has not been read yet; nothing after a problem.
  std::string_view rest() const { return rest_; }
  const char* culprit() const { return culprit_ == nullptr ? "end" : culprit_; }

 private:
  template <Number T>
  void get(T& value) {
    const std::uint64_t wide = number();
    value = static_cast<T>(wide);
    if (static_cast<std::uint64_t>(value) != wide) fail();
  }
  std::uint64_t number() {
    std::uint64_t value = 0;
    if constexpr (kNumbers == Numbers::wide) {
      if (rest_.size() < sizeof value) return fail(), 0;
      std::memcpy(&value, rest_.data(), sizeof value);
      rest_.remove_prefix(sizeof value);
      return value;
    }
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<std::uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      const std::uint64_t bits = byte & 0x7fU;
      value |= bits << shift;
      const bool overlong = bits == 0 && shift > 0;  // each number has one form
      if (byte < 0x80 && !overlong && value >> shift == bits) return value;
      if (byte < 0x80) break;
    }
    fail();
    return 0;
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

using Decoder = BasicDecoder<Numbers::wide>;
using PackedDecoder = BasicDecoder<Numbers::packed>;

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

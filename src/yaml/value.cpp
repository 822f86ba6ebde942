#include "yaml/value.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <utility>

namespace compose::yaml {
namespace {

constexpr std::size_t kScanLimit = 16;  // up to here a scan over the keys is faster than a hash table

std::size_t hash_of(std::string_view key) { return std::hash<std::string_view>{}(key); }

// The digits and the decimal exponent of the shortest form that reads back as the same number.
struct Decimal {
  bool negative = false;
  std::string digits;  // without leading zeros; at least one
  int point = 0;       // value = 0.DIGITS * 10^point
};

template <typename Float>
Decimal shortest(Float number) {
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::scientific).ptr;
  std::string_view text(buffer, static_cast<std::size_t>(end - buffer));
  Decimal out;
  if (text.front() == '-') {
    out.negative = true;
    text.remove_prefix(1);
  }
  const auto e = text.find('e');
  for (const char c : text.substr(0, e)) {
    if (c != '.') out.digits += c;
  }
  int exponent = 0;
  const char* first = text.data() + e + 1 + (text[e + 1] == '+' ? 1 : 0);
  std::from_chars(first, text.data() + text.size(), exponent);
  out.point = exponent + 1;
  return out;
}

template <typename Float>
std::string go_shortest(Float number) {
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number < 0 ? "-Inf" : "+Inf";
  if (number == 0) return std::signbit(number) ? "-0" : "0";
  const Decimal d = shortest(number);
  const int exponent = d.point - 1;
  const int digits = static_cast<int>(d.digits.size());
  std::string out = d.negative ? "-" : "";
  // strconv.FormatFloat 'g' with the shortest precision decides between %e and %f as if the precision were 6.
  if (exponent < -4 || exponent >= 6) {
    out += d.digits[0];
    if (digits > 1) out += "." + d.digits.substr(1);
    return out + fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (d.point <= 0) return out + "0." + std::string(static_cast<std::size_t>(-d.point), '0') + d.digits;
  if (d.point >= digits) return out + d.digits + std::string(static_cast<std::size_t>(d.point - digits), '0');
  return out + d.digits.substr(0, static_cast<std::size_t>(d.point)) + "." +
         d.digits.substr(static_cast<std::size_t>(d.point));
}

// Go's time.Time.String() of an RFC 3339 time: "2001-12-14 21:59:43 +0000 UTC".
std::string go_time(std::string text) {
  const auto t = text.find('T');
  if (t == std::string::npos) return text;
  text[t] = ' ';
  if (text.back() == 'Z') return text.substr(0, text.size() - 1) + " +0000 UTC";
  const std::string zone = text.substr(text.size() - 6, 3) + text.substr(text.size() - 2);
  return text.substr(0, text.size() - 6) + " " + zone + " " + zone;
}

bool same_mapping(const Mapping& a, const Mapping& b) {
  if (a.size() != b.size()) return false;
  return std::all_of(a.begin(), a.end(), [&](const Entry& entry) {
    const Value* other = b.get(entry.key);
    return other != nullptr && entry.value.same_as(*other);
  });
}

}  // namespace

Mapping::Mapping() = default;
Mapping::Mapping(const Mapping&) = default;
Mapping::Mapping(Mapping&&) noexcept = default;
Mapping& Mapping::operator=(const Mapping&) = default;
Mapping& Mapping::operator=(Mapping&&) noexcept = default;
Mapping::~Mapping() = default;

std::size_t Mapping::size() const { return entries_.size(); }
Entry* Mapping::begin() { return entries_.data(); }
Entry* Mapping::end() { return entries_.data() + entries_.size(); }
const Entry* Mapping::begin() const { return entries_.data(); }
const Entry* Mapping::end() const { return entries_.data() + entries_.size(); }

const Entry* Mapping::find(std::string_view key) const {
  if (slots_.empty()) {
    for (const Entry& entry : entries_) {
      if (entry.key == key) return &entry;
    }
    return nullptr;
  }
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t i = hash_of(key) & mask; slots_[i] != 0; i = (i + 1) & mask) {
    const Entry& entry = entries_[slots_[i] - 1];
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

Entry* Mapping::find(std::string_view key) { return const_cast<Entry*>(std::as_const(*this).find(key)); }

const Value* Mapping::get(std::string_view key) const {
  const Entry* entry = find(key);
  return entry == nullptr ? nullptr : &entry->value;
}

Value* Mapping::get(std::string_view key) { return const_cast<Value*>(std::as_const(*this).get(key)); }

void Mapping::note(std::uint32_t position) {
  const std::size_t mask = slots_.size() - 1;
  std::size_t i = hash_of(entries_[position].key) & mask;
  while (slots_[i] != 0) i = (i + 1) & mask;
  slots_[i] = position + 1;
}

void Mapping::reindex() {
  slots_.clear();
  if (entries_.size() <= kScanLimit) return;
  std::size_t slots = 64;
  while (slots < entries_.size() * 2) slots *= 2;
  slots_.assign(slots, 0);
  for (std::uint32_t i = 0; i < entries_.size(); ++i) note(i);
}

Entry& Mapping::add(std::string key, Place key_place, Value value) {
  constexpr std::size_t kUsual = 4;  // most mappings of a project have a few keys
  if (entries_.capacity() == 0) entries_.reserve(kUsual);
  entries_.push_back({std::move(key), key_place, std::move(value)});
  if (slots_.empty() ? entries_.size() > kScanLimit : entries_.size() * 2 > slots_.size()) {
    reindex();
  } else if (!slots_.empty()) {
    note(static_cast<std::uint32_t>(entries_.size() - 1));
  }
  return entries_.back();
}

Value& Mapping::set(std::string_view key, Value value) {
  if (Entry* entry = find(key)) {
    entry->value = std::move(value);
    return entry->value;
  }
  const Place where = value.place;
  return add(std::string(key), where, std::move(value)).value;
}

bool Mapping::erase(std::string_view key) {
  Entry* entry = find(key);
  if (entry == nullptr) return false;
  entries_.erase(entries_.begin() + (entry - entries_.data()));
  reindex();
  return true;
}

void Mapping::reserve(std::size_t count) { entries_.reserve(count); }

const Value* Value::get(std::string_view key) const {
  const Mapping* mapping = if_mapping();
  return mapping == nullptr ? nullptr : mapping->get(key);
}

Value* Value::get(std::string_view key) {
  Mapping* mapping = if_mapping();
  return mapping == nullptr ? nullptr : mapping->get(key);
}

bool Value::same_as(const Value& other) const {
  if (is_number() && other.is_number()) {
    if (is_integer() && other.is_integer()) return as_integer() == other.as_integer();
    return as_real() == other.as_real();
  }
  if (kind() != other.kind()) return false;
  if (is_mapping()) return same_mapping(entries(), other.entries());
  if (!is_sequence()) return scalar_text(*this) == scalar_text(other);
  return std::equal(items().begin(), items().end(), other.items().begin(), other.items().end(),
                    [](const Value& a, const Value& b) { return a.same_as(b); });
}

std::string go_float(double number) { return go_shortest(number); }
std::string go_float32(float number) { return go_shortest(number); }

std::string scalar_text(const Value& value) {
  switch (value.kind()) {
    case Kind::null:
      return "<nil>";
    case Kind::boolean:
      return value.as_bool() ? "true" : "false";
    case Kind::integer:
      if (value.is_unsigned) return fmt::format("{}", static_cast<std::uint64_t>(value.as_integer()));
      return fmt::format("{}", value.as_integer());
    case Kind::real:
      return go_float(value.as_real());
    case Kind::string:
      return value.timestamp ? go_time(value.as_string()) : value.as_string();
    case Kind::sequence:
    case Kind::mapping:
      break;
  }
  return {};
}

std::string_view kind_name(const Value& value) {
  switch (value.kind()) {
    case Kind::null:
      return "null";
    case Kind::boolean:
      return "a boolean";
    case Kind::integer:
    case Kind::real:
      return "a number";
    case Kind::string:
      return "a string";
    case Kind::sequence:
      return "a list";
    case Kind::mapping:
      return "a mapping";
  }
  return "?";
}

}  // namespace compose::yaml

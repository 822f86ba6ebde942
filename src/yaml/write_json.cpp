#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "yaml/write.hpp"

namespace compose::yaml {
namespace {

void append_quoted(std::string& out, std::string_view text, bool double_dollar) {
  out += '"';
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      case '$':
        out += double_dollar ? "$$" : "$";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else if (const auto unsafe = unsafe_character(text.substr(i)); unsafe.length != 0) {
          out += fmt::format("\\u{:04x}", unsafe.code);
          i += unsafe.length - 1;
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

// A number as Go's encoding/json writes a float64: no exponent between 1e-6 and 1e21.
std::string json_number(double number) {
  if (!std::isfinite(number)) return "null";
  if (number == 0) return "0";  // "-0" would read back as the integer
  const double magnitude = std::fabs(number);
  if (magnitude != 0 && (magnitude < 1e-6 || magnitude >= 1e21)) {
    std::string text = go_float(number);
    if (const auto zero = text.find("e-0"); zero != std::string::npos) text.erase(zero + 2, 1);
    return text;
  }
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::fixed).ptr;
  return {buffer, end};
}

class Writer {
 public:
  Writer(std::string& out, const WriteOptions& options) : out_{out}, options_{options} {}

  void value(const Value& value, std::size_t level) {
    switch (value.kind()) {
      case Kind::null:
        out_ += "null";
        break;
      case Kind::boolean:
        out_ += value.as_bool() ? "true" : "false";
        break;
      case Kind::integer:
        if (value.is_unsigned) {
          out_ += scalar_text(value);
        } else {
          fmt::format_to(std::back_inserter(out_), "{}", value.as_integer());
        }
        break;
      case Kind::real:
        out_ += json_number(value.as_real());
        break;
      case Kind::string:
        append_quoted(out_, value.as_string(), options_.double_dollar);
        break;
      case Kind::sequence:
        sequence(value.items(), level);
        break;
      case Kind::mapping:
        mapping(value.entries(), level);
        break;
    }
  }

 private:
  void new_line(std::size_t level) {
    if (!options_.pretty) return;
    out_ += '\n';
    out_.append(level * 2, ' ');
  }

  void sequence(const Sequence& items, std::size_t level) {
    if (items.empty()) {
      out_ += "[]";
      return;
    }
    char separator = '[';
    for (const Value& item : items) {
      out_ += separator;
      new_line(level + 1);
      value(item, level + 1);
      separator = ',';
    }
    new_line(level);
    out_ += ']';
  }

  void mapping(const Mapping& mapping, std::size_t level) {
    if (mapping.empty()) {
      out_ += "{}";
      return;
    }
    std::vector<const Entry*> order;
    order.reserve(mapping.size());
    for (const Entry& entry : mapping) order.push_back(&entry);
    if (options_.sorted) {
      std::sort(order.begin(), order.end(), [](const Entry* a, const Entry* b) { return a->key < b->key; });
    }
    char separator = '{';
    for (const Entry* entry : order) {
      out_ += separator;
      new_line(level + 1);
      append_quoted(out_, entry->key, options_.double_dollar);
      out_ += options_.pretty ? ": " : ":";
      value(entry->value, level + 1);
      separator = ',';
    }
    new_line(level);
    out_ += '}';
  }

  std::string& out_;
  const WriteOptions& options_;
};

}  // namespace

std::string to_json(const Value& value, const WriteOptions& options) {
  std::string out;
  Writer(out, options).value(value, 0);
  return out;
}

std::string json_quote(std::string_view text) {
  std::string out;
  append_quoted(out, text, false);
  return out;
}

UnsafeCharacter unsafe_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  if (byte(0) == 0x7F) return {0x7F, 1};
  if (byte(0) == 0xC2 && byte(1) >= 0x80 && byte(1) < 0xA0) return {byte(1), 2};
  const unsigned three = (byte(0) << 16U) | (byte(1) << 8U) | byte(2);
  if (three == 0xE280A8 || three == 0xE280A9) return {0x2000U | (byte(2) & 0x3FU), 3};
  if (three == 0xEFBBBF) return {0xFEFF, 3};
  if (three == 0xEFBFBE || three == 0xEFBFBF) return {0xFFC0U | (byte(2) & 0x3FU), 3};
  return {};
}

bool has_unsafe_character(std::string_view text) {
  for (std::size_t i = text.find_first_of("\x7F\xC2\xE2\xEF"); i != std::string_view::npos;
       i = text.find_first_of("\x7F\xC2\xE2\xEF", i + 1)) {
    if (unsafe_character(text.substr(i)).length != 0) return true;
  }
  return false;
}

}  // namespace compose::yaml

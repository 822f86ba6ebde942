#include "runtime/monitor/log_format.hpp"

#include <fmt/format.h>

#include <array>
#include <cstring>

namespace compose::runtime::monitor {
namespace {

/// The length of a character by its first byte (RFC 3629), 0: no character begins with it.
std::size_t length_of(unsigned char first) {
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first < 0xE0) return 2;
  if (first >= 0xE0 && first < 0xF0) return 3;
  return first >= 0xF0 && first < 0xF5 ? 4 : 0;
}

bool continues(unsigned char byte) { return (byte & 0xC0) == 0x80; }

/// Whether `second` may follow `first`: the ranges that keep out overlong forms, surrogates and what is above U+10FFFF.
bool second_fits(unsigned char first, unsigned char second) {
  switch (first) {
    case 0xE0:
      return second >= 0xA0 && second <= 0xBF;
    case 0xED:
      return second >= 0x80 && second <= 0x9F;
    case 0xF0:
      return second >= 0x90 && second <= 0xBF;
    case 0xF4:
      return second >= 0x80 && second <= 0x8F;
    default:
      return continues(second);
  }
}

/// The length of the valid character at the beginning of `text`, 0 if there is none.
std::size_t character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::size_t length = length_of(byte(0));
  if (length < 2 || length > text.size() || !second_fits(byte(0), byte(1))) return length == 1 ? 1 : 0;
  for (std::size_t i = 2; i < length; ++i) {
    if (!continues(byte(i))) return 0;
  }
  return length;
}

char* write_escape(char* out, unsigned char byte) {
  constexpr char kHex[] = "0123456789abcdef";
  *out++ = '\\';
  switch (byte) {
    case '"':
    case '\\':
      *out++ = static_cast<char>(byte);
      return out;
    case '\n':
      *out++ = 'n';
      return out;
    case '\r':
      *out++ = 'r';
      return out;
    case '\t':
      *out++ = 't';
      return out;
    default:
      for (const char c : {'u', '0', '0', kHex[byte >> 4], kHex[byte & 15]}) *out++ = c;
      return out;
  }
}

/// Bytes that stand for themselves.
bool plain(unsigned char byte) { return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\'; }

}  // namespace

std::string format_time(const timespec& time) {
  tm parts{};
  ::gmtime_r(&time.tv_sec, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, time.tv_nsec);
}

char* write_json_text(char* out, std::string_view text) {
  while (!text.empty()) {
    std::size_t run = 0;
    while (run < text.size() && plain(static_cast<unsigned char>(text[run]))) ++run;
    std::memcpy(out, text.data(), run);
    out += run;
    text.remove_prefix(run);
    if (text.empty()) break;
    const auto byte = static_cast<unsigned char>(text[0]);
    if (byte < 0x80) {
      out = byte == 0x7F ? (*out = 0x7F, out + 1) : write_escape(out, byte);
      text.remove_prefix(1);
      continue;
    }
    const std::size_t length = character(text);
    if (length == 0) {
      std::memcpy(out, "\xEF\xBF\xBD", 3);
      out += 3;
      text.remove_prefix(1);
      continue;
    }
    std::memcpy(out, text.data(), length);
    out += length;
    text.remove_prefix(length);
  }
  return out;
}

std::size_t open_character(std::string_view text) {
  for (std::size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if (continues(byte)) continue;
    return length_of(byte) > back ? back : 0;
  }
  return 0;
}

}  // namespace compose::runtime::monitor

// One line of a log in either of its formats.
#include <cstring>

#include "base/strings.hpp"
#include "state/log_reader.hpp"

namespace compose::state {
namespace {

constexpr std::size_t kTimeSize = 30;  // "2026-01-31T12:00:00.000000001Z"

bool take(std::string_view& text, std::string_view beginning) {
  if (!text.starts_with(beginning)) return false;
  text.remove_prefix(beginning.size());
  return true;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

std::optional<unsigned> hex4(std::string_view text) {
  if (text.size() < 4) return std::nullopt;
  unsigned value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    const int digit = hex_digit(text[i]);
    if (digit < 0) return std::nullopt;
    value = value * 16 + static_cast<unsigned>(digit);
  }
  return value;
}

void add_utf8(std::string& out, unsigned code) {
  const auto add = [&](unsigned byte) { out += static_cast<char>(byte); };
  if (code < 0x80) return add(code);
  if (code < 0x800) {
    add(0xC0 | code >> 6);
  } else {
    if (code < 0x10000) {
      add(0xE0 | code >> 12);
    } else {
      add(0xF0 | code >> 18);
      add(0x80 | (code >> 12 & 0x3F));
    }
    add(0x80 | (code >> 6 & 0x3F));
  }
  add(0x80 | (code & 0x3F));
}

/// After "\u": one character, of two escapes where it lies beyond the basic plane (RFC 8259 section 7).
bool unescape_code(std::string_view& text, std::string& out) {
  auto code = hex4(text);
  if (!code) return false;
  text.remove_prefix(4);
  if (*code >= 0xD800 && *code < 0xDC00 && text.starts_with("\\u")) {
    const auto low = hex4(text.substr(2));
    if (low && *low >= 0xDC00 && *low < 0xE000) {
      text.remove_prefix(6);
      code = 0x10000 + ((*code - 0xD800) << 10) + (*low - 0xDC00);
    }
  }
  add_utf8(out, *code);
  return true;
}

/// What stands between the quotes, from after the first to after the last of them.
bool json_string(std::string_view& text, std::string& scratch, std::string_view& value) {
  // Two passes of memchr(3) are much faster than one that looks for both.
  const std::size_t quote = text.find('"');
  if (quote == std::string_view::npos) return false;
  const std::size_t special = text.substr(0, quote).find('\\');
  if (special == std::string_view::npos) {
    value = text.substr(0, quote);
    text.remove_prefix(quote + 1);
    return true;
  }
  // Most lines have only the escape at their end.
  if (text.substr(special).starts_with("\\n\"")) {
    scratch.assign(text.substr(0, special));
    scratch += '\n';
    value = scratch;
    text.remove_prefix(special + 3);
    return true;
  }
  scratch.assign(text.substr(0, special));
  text.remove_prefix(special);
  while (!text.empty()) {
    const std::size_t run = text.find_first_of("\"\\");
    if (run == std::string_view::npos) return false;
    scratch += text.substr(0, run);
    const char what = text[run];
    text.remove_prefix(run + 1);
    if (what == '"') {
      value = scratch;
      return true;
    }
    if (text.empty()) return false;
    const char escape = text[0];
    text.remove_prefix(1);
    constexpr std::string_view kNames = "bfnrt\"\\/";
    constexpr std::string_view kValues = "\b\f\n\r\t\"\\/";
    if (escape == 'u') {
      if (!unescape_code(text, scratch)) return false;
    } else if (const auto known = kNames.find(escape); known != std::string_view::npos) {
      scratch += kValues[known];
    } else {
      return false;
    }
  }
  return false;
}

/// An object with objects and texts in it, as "attrs" is.
bool skip_object(std::string_view& text) {
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (quoted) {
      if (text[i] == '\\')
        ++i;
      else if (text[i] == '"')
        quoted = false;
      continue;
    }
    if (text[i] == '"') quoted = true;
    if (text[i] == '{') ++depth;
    if (text[i] == '}' && --depth == 0) {
      text.remove_prefix(i + 1);
      return true;
    }
  }
  return false;
}

std::optional<LogLine> parse_json_line(std::string_view line, std::string& scratch) {
  LogLine result;
  if (!take(line, "{\"log\":\"")) return std::nullopt;
  if (!json_string(line, scratch, result.text)) return std::nullopt;
  if (!take(line, ",\"stream\":\"")) return std::nullopt;
  result.to_stderr = take(line, "stderr\"");
  if (!result.to_stderr && !take(line, "stdout\"")) return std::nullopt;
  if (take(line, ",\"attrs\":") && !skip_object(line)) return std::nullopt;
  if (!take(line, ",\"time\":\"")) return std::nullopt;
  result.timestamp = line.substr(0, line.find('"'));
  result.partial = !result.text.ends_with('\n');
  if (!result.partial) result.text.remove_suffix(1);
  if (result.timestamp.size() != kTimeSize && !parse_time(result.timestamp)) return std::nullopt;
  return result;
}

}  // namespace

std::optional<LogLine> parse_log_line(std::string_view line, std::string& scratch) {
  if (line.starts_with('{')) return parse_json_line(line, scratch);
  LogLine result;
  const auto time_end = line.find(' ');
  if (time_end == std::string_view::npos) return std::nullopt;
  result.timestamp = line.substr(0, time_end);
  line.remove_prefix(time_end);
  result.to_stderr = take(line, " stderr ");
  if (!result.to_stderr && !take(line, " stdout ")) return std::nullopt;
  if (line.size() < 2 || (line[0] != 'F' && line[0] != 'P') || line[1] != ' ') return std::nullopt;
  result.partial = line[0] == 'P';
  result.text = line.substr(2);
  if (result.timestamp.size() != kTimeSize || result.timestamp.back() != 'Z') {
    if (!parse_time(result.timestamp)) return std::nullopt;
  }
  return result;
}

TimeFilter::TimeFilter(const LogQuery& query) : since_{query.since}, until_{query.until} {
  if (since_) since_text_ = format_time(*since_);
  if (until_) until_text_ = format_time(*until_);
}

bool TimeFilter::before(std::string_view timestamp, const std::string& text, Time bound) {
  if (timestamp.size() == text.size()) return timestamp < text;
  const auto at = parse_time(timestamp);
  return at && *at < bound;
}

bool TimeFilter::after(std::string_view timestamp, const std::string& text, Time bound) {
  if (timestamp.size() == text.size()) return timestamp > text;
  const auto at = parse_time(timestamp);
  return at && *at > bound;
}

}  // namespace compose::state

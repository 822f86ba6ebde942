// The scanner's scalars: plain, quoted and block (YAML 1.2, chapters 7.3 and 8.1), and the check of the characters.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "yaml/scanner.hpp"

namespace compose::yaml {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void append_utf8(std::string& out, std::uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | (code >> 6));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (code >> 18));
    out += static_cast<char>(0x80 | ((code >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

// Line folding: one break becomes a space, more keep all but the first.
void fold(std::string& out, std::string& leading, std::string& trailing) {
  if (!leading.empty()) {
    if (trailing.empty()) {
      out += ' ';
    } else {
      out += trailing;
    }
  }
  leading.clear();
  trailing.clear();
}

}  // namespace

void Scanner::take_break(std::string& out) {
  out += '\n';
  skip_line();
}

bool Scanner::fetch_plain_scalar() {
  if (!save_simple_key()) return false;
  simple_key_allowed_ = false;
  const bool flow = simple_keys_.size() > 1;
  const auto indent = static_cast<std::uint32_t>(indent_ + 1);
  Token token;
  token.kind = TokenKind::scalar;
  token.plain = true;
  token.start = mark_;
  std::string blanks;
  std::string leading;
  std::string trailing;
  bool crossed_line = false;
  for (;;) {
    if (document_marker() || at() == '#') break;
    const std::size_t begin = mark_.offset;
    while (!blank_or_end()) {
      const char c = at();
      if (c == ':' && blank_or_end(1)) break;
      if (flow && (c == ',' || c == '?' || c == '[' || c == ']' || c == '{' || c == '}')) break;
      ++mark_.offset;
    }
    if (mark_.offset != begin) {
      if (crossed_line) {
        fold(token.text, leading, trailing);
        crossed_line = false;
      } else {
        token.text += blanks;
      }
      blanks.clear();
      token.text += text_.substr(begin, mark_.offset - begin);
    }
    if (!blank() && !line_break()) break;
    while (blank() || line_break()) {
      if (blank()) {
        if (crossed_line && mark_.column() < indent && at() == '\t') {
          return fail(mark_, "found a tab character that violates indentation");
        }
        if (!crossed_line) blanks += at();
        ++mark_.offset;
      } else if (!crossed_line) {
        blanks.clear();
        take_break(leading);
        crossed_line = true;
      } else {
        take_break(trailing);
      }
    }
    if (!flow && mark_.column() < indent) break;
  }
  if (crossed_line) simple_key_allowed_ = true;
  tokens_.push_back(std::move(token));
  return true;
}

bool Scanner::scan_escape(Mark start, std::string& out) {
  constexpr std::pair<char, std::string_view> kEscapes[] = {{'0', std::string_view("\0", 1)},
                                                            {'a', "\a"},
                                                            {'b', "\b"},
                                                            {'t', "\t"},
                                                            {'\t', "\t"},
                                                            {'n', "\n"},
                                                            {'v', "\v"},
                                                            {'f', "\f"},
                                                            {'r', "\r"},
                                                            {'e', "\x1B"},
                                                            {' ', " "},
                                                            {'"', "\""},
                                                            {'\'', "'"},
                                                            {'/', "/"},
                                                            {'\\', "\\"},
                                                            {'N', "\xC2\x85"},
                                                            {'_', "\xC2\xA0"},
                                                            {'L', "\xE2\x80\xA8"},
                                                            {'P', "\xE2\x80\xA9"}};
  const char code = at(1);
  const Mark where = mark_;
  mark_.offset += 2;
  for (const auto& [letter, text] : kEscapes) {
    if (letter == code) {
      out += text;
      return true;
    }
  }
  const int digits = code == 'x' ? 2 : code == 'u' ? 4 : code == 'U' ? 8 : 0;
  if (digits == 0) {
    return fail(where, fmt::format("found unknown escape character '\\{}' in a double-quoted string; use single "
                                   "quotes, or write the backslash twice",
                                   code));
  }
  std::uint32_t value = 0;
  for (int i = 0; i < digits; ++i) {
    const int digit = hex_digit(at());
    if (digit < 0) return fail(start, "did not find expected hexadecimal number in an escape");
    value = (value << 4) | static_cast<std::uint32_t>(digit);
    ++mark_.offset;
  }
  if ((value >= 0xD800 && value <= 0xDFFF) || value > 0x10FFFF) {
    return fail(where, "found invalid Unicode character escape code");
  }
  append_utf8(out, value);
  return true;
}

bool Scanner::fetch_quoted_scalar(char quote) {
  if (!save_simple_key()) return false;
  simple_key_allowed_ = false;
  Token token;
  token.kind = TokenKind::scalar;
  token.start = mark_;
  ++mark_.offset;
  std::string blanks;
  std::string leading;
  std::string trailing;
  for (;;) {
    if (document_marker()) return fail(mark_, "found unexpected document indicator inside a quoted string");
    if (at_end()) return fail(token.start, "found unexpected end of stream: this quote is never closed");
    bool crossed_line = false;
    while (!blank_or_end()) {
      if (at() == quote) {
        if (quote == '"' || at(1) != '\'') break;
        token.text += '\'';
        mark_.offset += 2;
      } else if (quote == '"' && at() == '\\' && line_break(1)) {
        ++mark_.offset;
        skip_line();
        crossed_line = true;
        break;
      } else if (quote == '"' && at() == '\\') {
        if (!scan_escape(token.start, token.text)) return false;
      } else {
        token.text += text_[mark_.offset++];
      }
    }
    if (at() == quote && !at_end()) break;
    while (blank() || line_break()) {
      if (blank()) {
        if (!crossed_line) blanks += at();
        ++mark_.offset;
      } else if (!crossed_line) {
        blanks.clear();
        take_break(leading);
        crossed_line = true;
      } else {
        take_break(trailing);
      }
    }
    if (crossed_line) {
      if (leading.empty()) token.text += trailing;
      fold(token.text, leading, trailing);
    } else {
      token.text += blanks;
    }
    blanks.clear();
  }
  ++mark_.offset;
  tokens_.push_back(std::move(token));
  return true;
}

// The indicators after '|' or '>': chomping (+ or -) and indentation (1 to 9), in any order.
bool Scanner::scan_block_header(Mark start, int& chomping, std::uint32_t& increment) {
  for (int i = 0; i < 2; ++i) {
    if ((at() == '+' || at() == '-') && chomping == 0) {
      chomping = at() == '+' ? 1 : -1;
      ++mark_.offset;
    } else if (at() >= '0' && at() <= '9' && increment == 0) {
      if (at() == '0') return fail(start, "found an indentation indicator equal to 0");
      increment = static_cast<std::uint32_t>(at() - '0');
      ++mark_.offset;
    }
  }
  while (blank()) ++mark_.offset;
  if (at() == '#') {
    while (!break_or_end()) ++mark_.offset;
  }
  if (!break_or_end()) return fail(mark_, "a block text starts on the line after '|' or '>'");
  if (line_break()) skip_line();
  return true;
}

// Eats indentation and empty lines; finds the indentation of the block when it is not given.
bool Scanner::scan_block_breaks(std::uint32_t& indent, std::string& breaks) {
  std::uint32_t widest = 0;
  for (;;) {
    while ((indent == 0 || mark_.column() < indent) && at() == ' ') ++mark_.offset;
    widest = std::max(widest, mark_.column());
    if ((indent == 0 || mark_.column() < indent) && at() == '\t') {
      return fail(mark_, "found a tab character where an indentation space is expected");
    }
    if (!line_break()) break;
    take_break(breaks);
  }
  if (indent == 0) indent = std::max({widest, static_cast<std::uint32_t>(indent_ + 1), 1U});
  return true;
}

bool Scanner::fetch_block_scalar(bool literal) {
  if (!remove_simple_key()) return false;
  simple_key_allowed_ = true;
  Token token;
  token.kind = TokenKind::scalar;
  token.start = mark_;
  ++mark_.offset;
  int chomping = 0;
  std::uint32_t increment = 0;
  if (!scan_block_header(token.start, chomping, increment)) return false;
  std::uint32_t indent = increment == 0 ? 0 : static_cast<std::uint32_t>(std::max(indent_, 0)) + increment;
  std::string leading;
  std::string trailing;
  if (!scan_block_breaks(indent, trailing)) return false;
  bool was_blank = false;
  while (mark_.column() == indent && !at_end()) {
    const bool is_blank = blank();
    if (!literal && !was_blank && !is_blank && !leading.empty()) {
      if (trailing.empty()) token.text += ' ';
    } else {
      token.text += leading;
    }
    token.text += trailing;
    leading.clear();
    trailing.clear();
    was_blank = is_blank;
    const std::size_t begin = mark_.offset;
    while (!break_or_end()) ++mark_.offset;
    token.text += text_.substr(begin, mark_.offset - begin);
    if (line_break()) take_break(leading);
    if (!scan_block_breaks(indent, trailing)) return false;
  }
  if (chomping != -1) token.text += leading;
  if (chomping == 1) token.text += trailing;
  tokens_.push_back(std::move(token));
  return true;
}

std::optional<BadCharacter> check_characters(std::string_view text) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  const std::size_t size = text.size();
  const auto follows = [&](std::size_t i, std::size_t count) {
    for (std::size_t k = 1; k <= count; ++k) {
      if (i + k >= size || (bytes[i + k] & 0xC0) != 0x80) return false;
    }
    return true;
  };
  for (std::size_t i = 0; i < size;) {
    const unsigned char c = bytes[i];
    if (c >= 0x20 && c < 0x7F) {
      ++i;
    } else if (c < 0x80) {
      if (c != '\n' && c != '\r' && c != '\t') return BadCharacter{i, false};
      ++i;
    } else if (c >= 0xC2 && c <= 0xDF && follows(i, 1)) {
      if (c == 0xC2 && bytes[i + 1] < 0xA0 && bytes[i + 1] != 0x85) return BadCharacter{i, false};
      i += 2;
    } else if (c >= 0xE0 && c <= 0xEF && follows(i, 2)) {
      const unsigned code = ((c & 0x0FU) << 12) | ((bytes[i + 1] & 0x3FU) << 6) | (bytes[i + 2] & 0x3FU);
      if (code < 0x800 || (code >= 0xD800 && code <= 0xDFFF)) return BadCharacter{i, true};
      if (code == 0xFFFE || code == 0xFFFF || (code == 0xFEFF && i != 0)) return BadCharacter{i, false};
      i += 3;
    } else if (c >= 0xF0 && c <= 0xF4 && follows(i, 3)) {
      const unsigned code = ((c & 0x07U) << 18) | ((bytes[i + 1] & 0x3FU) << 12);
      if (code < 0x10000 || code > 0x10FFFF) return BadCharacter{i, true};
      i += 4;
    } else {
      return BadCharacter{i, true};
    }
  }
  return std::nullopt;
}

}  // namespace compose::yaml

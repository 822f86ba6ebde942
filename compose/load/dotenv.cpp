#include "compose/load/dotenv.hpp"

#include <fmt/format.h>

#include <cstring>

namespace compose::load {
namespace {

using yaml::Place;

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

bool space(char c) { return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r'; }
bool space_or_break(char c) { return space(c) || c == '\n'; }

std::string_view trim_right(std::string_view text) {
  while (!text.empty() && space_or_break(text.back())) text.remove_suffix(1);
  return text;
}

bool key_character(char c) {
  if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
  return static_cast<unsigned char>(c) >= 0x80 || std::strchr("_.-[]", c) != nullptr;  // letters of any script
}

// \a \b \f \n \r \t \v \" \\ and \0 with up to three octal digits; "\$" becomes "$$", a dollar for substitute().
std::string expand_escapes(std::string_view text) {
  constexpr std::string_view kFrom = "abfnrtv\"\\";
  constexpr std::string_view kTo = "\a\b\f\n\r\t\v\"\\";
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    const char c = text[++i];
    if (const auto known = kFrom.find(c); known != std::string_view::npos) {
      out += kTo[known];
    } else if (c == '$') {
      out += "$$";
    } else if (c == '0') {
      std::size_t end = i + 1;
      unsigned value = 0;
      while (end < text.size() && end < i + 4 && text[end] >= '0' && text[end] <= '7') {
        value = value * 8 + static_cast<unsigned>(text[end++] - '0');
      }
      if (end == i + 4 && value < 256) {
        out += static_cast<char>(value);
        i = end - 1;
      } else {
        out += "\\0";
      }
    } else {
      out += '\\';
      out += c;
    }
  }
  return out;
}

class Parser {
 public:
  Parser(std::string_view text, std::uint32_t source, const Lookup& lookup, Environment& out)
      : text_{text}, source_{source}, lookup_{lookup}, out_{out} {}

  std::optional<DotenvError> run() {
    if (text_.starts_with(kByteOrderMark)) line_start_ = at_ = kByteOrderMark.size();
    while (!error_) {
      skip_blank_lines();
      if (at_ >= text_.size()) break;
      statement();
    }
    return std::move(error_);
  }

 private:
  char here() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  Place place(std::size_t offset) const {
    return {source_, line_, static_cast<std::uint32_t>(offset - line_start_ + 1)};
  }
  void fail(Place where, std::string message) { error_ = DotenvError{where, std::move(message)}; }

  void advance_to(std::size_t end) {
    for (; at_ < end; ++at_) {
      if (text_[at_] != '\n') continue;
      ++line_;
      line_start_ = at_ + 1;
    }
  }

  void skip_blank_lines() {
    while (at_ < text_.size()) {
      if (space_or_break(here())) {
        advance_to(at_ + 1);
      } else if (here() == '#') {
        advance_to(std::min(text_.find('\n', at_), text_.size()));
      } else {
        return;
      }
    }
  }

  void skip_export() {
    constexpr std::string_view kExport = "export";
    const std::string_view rest = text_.substr(at_);
    if (!rest.starts_with(kExport) || rest.size() == kExport.size() || !space_or_break(rest[kExport.size()])) return;
    at_ += kExport.size();
    while (at_ < text_.size() && space(here())) ++at_;
  }

  void statement() {
    skip_export();
    const std::size_t start = at_;
    const Place where = place(start);
    std::size_t end = start;
    while (end < text_.size() && text_[end] != '=' && text_[end] != ':' && text_[end] != '\n') {
      if (!key_character(text_[end]) && !space(text_[end])) {
        const std::string_view line = text_.substr(start, text_.find('\n', start) - start);
        fail(place(end),
             fmt::format("unexpected character \"{}\" in variable name \"{}\"", text_[end], trim_right(line)));
        return;
      }
      ++end;
    }
    const bool bare = end >= text_.size() || text_[end] == '\n';
    const std::string key(trim_right(text_.substr(start, end - start)));
    if (key.find(' ') != std::string::npos) {
      fail(where, fmt::format("key cannot contain a space: \"{}\"", key));
      return;
    }
    // At the end of the text a name without a line break is no statement, as in Docker Compose.
    if (bare) {
      if (end < text_.size()) {
        if (const Variable* variable = lookup_(key)) out_.set(key, {variable->value, variable->origin, where});
      }
      advance_to(end);
      return;
    }
    at_ = end + 1;
    while (at_ < text_.size() && space(here())) ++at_;
    const Place value_place = place(at_);
    std::string value;
    if (here() == '\'' || here() == '"') {
      if (!quoted(value)) return;
    } else if (!unquoted(value)) {
      return;
    }
    out_.set(key, {std::move(value), "env file", value_place});
  }

  bool expand(std::string_view raw, Place where, std::string& value) {
    const Lookup both = [&](std::string_view name) {
      const Variable* variable = lookup_(name);
      return variable != nullptr ? variable : out_.find(name);
    };
    Substituted result = substitute(raw, both);
    if (result.error) {
      const bool required = result.error->kind == SubstituteError::Kind::required;
      where.column += static_cast<std::uint32_t>(raw.find('\n') == std::string_view::npos ? result.error->offset : 0);
      fail(where, required ? result.error->message : fmt::format("invalid template: {}", result.error->message));
      return false;
    }
    value = std::move(result.text);
    return true;
  }

  bool unquoted(std::string& value) {
    const Place where = place(at_);
    const std::size_t end = std::min(text_.find('\n', at_), text_.size());
    std::string_view raw = text_.substr(at_, end - at_);
    if (const auto comment = raw.find(" #"); comment != std::string_view::npos) raw = raw.substr(0, comment);
    if (!expand(trim_right(raw), where, value)) return false;
    advance_to(end);
    return true;
  }

  bool quoted(std::string& value) {
    const char quote = here();
    const Place where = place(at_);
    const std::size_t start = at_;
    std::string raw;
    bool escaped = false;
    for (std::size_t i = start + 1; i < text_.size(); ++i) {
      const char c = text_[i];
      if (c == quote && !escaped) {
        advance_to(i + 1);
        if (quote == '\'') {
          value = std::move(raw);
          return true;
        }
        return expand(expand_escapes(raw), where, value);
      }
      if (c == '\\' && !escaped) {
        escaped = true;
        continue;
      }
      if (escaped && c != quote) raw += '\\';
      escaped = false;
      raw += c;
    }
    const std::string_view line = text_.substr(start, text_.find('\n', start) - start);
    fail(where, fmt::format("unterminated quoted value {}", line));
    return false;
  }

  std::string_view text_;
  std::uint32_t source_;
  const Lookup& lookup_;
  Environment& out_;
  std::size_t at_ = 0;
  std::size_t line_start_ = 0;
  std::uint32_t line_ = 1;
  std::optional<DotenvError> error_;
};

}  // namespace

std::optional<DotenvError> parse_dotenv(std::string_view text, std::uint32_t source, const Lookup& lookup,
                                        Environment& out) {
  return Parser(text, source, lookup, out).run();
}

std::optional<DotenvError> parse_raw_env(std::string_view text, std::uint32_t source, Environment& out) {
  std::uint32_t line = 0;
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  while (!text.empty()) {
    ++line;
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view content = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (content.ends_with('\r')) content.remove_suffix(1);
    std::size_t begin = 0;
    while (begin < content.size() && space(content[begin])) ++begin;
    content.remove_prefix(begin);
    if (content.empty() || content.starts_with('#')) continue;
    const auto equals = content.find('=');
    if (equals == std::string_view::npos) continue;
    if (equals == 0) return DotenvError{{source, line, 1}, "no variable name on this line"};
    const auto column = static_cast<std::uint32_t>(begin + equals + 2);
    out.set(std::string(content.substr(0, equals)),
            {std::string(content.substr(equals + 1)), "env file", {source, line, column}});
  }
  return std::nullopt;
}

}  // namespace compose::load

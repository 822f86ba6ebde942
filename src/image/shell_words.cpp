#include "image/shell_words.hpp"

#include <fnmatch.h>

#include <nlohmann/json.hpp>

#include "base/strings.hpp"

namespace compose::image {

namespace {

constexpr int kMaxDepth = 16;

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name(char c) { return is_name_start(c) || (c >= '0' && c <= '9'); }

/// The part of `value` that is left when a match of `pattern` is taken off one end.
std::string strip(const std::string& value, const std::string& pattern, bool prefix, bool longest) {
  const std::size_t size = value.size();
  for (std::size_t step = 0; step <= size; ++step) {
    const std::size_t length = longest ? size - step : step;
    const std::string part = prefix ? value.substr(0, length) : value.substr(size - length);
    if (shell_pattern_matches(pattern, part)) return prefix ? value.substr(length) : value.substr(0, size - length);
  }
  return value;
}

std::string replace(const std::string& value, const std::string& pattern, const std::string& with, bool all) {
  std::string result;
  for (std::size_t at = 0; at < value.size();) {
    std::size_t length = value.size() - at;
    while (length > 0 && !shell_pattern_matches(pattern, value.substr(at, length))) --length;
    if (length == 0) {
      result += value[at++];
      continue;
    }
    result += with;
    at += length;
    if (!all) return result + value.substr(at);
  }
  return result;
}

class Expander {
 public:
  Expander(std::string_view text, const VariableLookup& lookup, char escape, int depth = 0)
      : text_{text}, lookup_{lookup}, escape_{escape}, depth_{depth} {}

  /// Quotes and blanks are text.
  Result<std::string> run_text() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      const char after = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
      if (c == '$') {
        TRY(variable(true));
        continue;
      }
      if (c == escape_ && (after == '$' || after == escape_)) ++at_;
      word_ += text_[at_++];
    }
    return std::move(word_);
  }

  /// Words are only split if asked for.
  Result<std::vector<std::string>> run(bool split_blanks) {
    split_ = split_blanks;
    if (depth_ > kMaxDepth) return make_error(Errc::invalid, "variables are nested too deeply");
    while (at_ < text_.size()) TRY(step());
    end_word();
    return std::move(words_);
  }

 private:
  void add(char c) {
    word_ += c;
    any_ = true;
  }
  void end_word() {
    if (any_) words_.push_back(std::move(word_));
    word_.clear();
    any_ = false;
  }

  Result<void> step() {
    const char c = text_[at_];
    if (c == '\'') return single_quoted();
    if (c == '"') return double_quoted();
    if (c == '$') return variable(false);
    if (c == escape_) {
      ++at_;
      // An escape at the very end stands for itself.
      add(at_ < text_.size() ? text_[at_] : escape_);
      ++at_;
      return {};
    }
    ++at_;
    if (split_ && is_blank(c)) {
      end_word();
    } else {
      add(c);
    }
    return {};
  }

  Result<void> single_quoted() {
    const std::size_t end = text_.find('\'', at_ + 1);
    if (end == std::string_view::npos) return make_error(Errc::invalid, "a single quote is not closed");
    word_ += text_.substr(at_ + 1, end - at_ - 1);
    any_ = true;
    at_ = end + 1;
    return {};
  }

  Result<void> double_quoted() {
    ++at_;
    any_ = true;
    while (at_ < text_.size() && text_[at_] != '"') {
      const char c = text_[at_];
      if (c == '$') {
        TRY(variable(true));
        continue;
      }
      const char after = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
      if (c == escape_ && (after == '"' || after == '$' || after == escape_)) ++at_;
      add(text_[at_++]);
    }
    if (at_ >= text_.size()) return make_error(Errc::invalid, "a double quote is not closed");
    ++at_;
    return {};
  }

  void add_value(const std::string& value, bool quoted) {
    if (quoted || !split_) {
      word_ += value;
      any_ = any_ || !value.empty();
      return;
    }
    for (const char c : value) {
      if (is_blank(c)) {
        end_word();
      } else {
        add(c);
      }
    }
  }

  Result<void> variable(bool quoted) {
    ++at_;  // the "$"
    if (at_ < text_.size() && text_[at_] == '{') {
      TRY_ASSIGN(const std::string value, braced());
      add_value(value, quoted);
      return {};
    }
    std::size_t end = at_;
    if (end < text_.size() && is_name_start(text_[end])) {
      while (end < text_.size() && is_name(text_[end])) ++end;
    } else if (end < text_.size() && text_[end] >= '0' && text_[end] <= '9') {
      ++end;  // $1: a positional parameter, always empty
    }
    if (end == at_) {
      add('$');
      return {};
    }
    add_value(lookup_(text_.substr(at_, end - at_)).value_or(""), quoted);
    at_ = end;
    return {};
  }

  /// The text up to the "}" that closes the brace, which is consumed.
  Result<std::string_view> until_brace() {
    const std::size_t begin = at_;
    int depth = 1;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == escape_ && at_ + 1 < text_.size()) {
        ++at_;
      } else if (c == '$' && at_ + 1 < text_.size() && text_[at_ + 1] == '{') {
        ++depth;
        ++at_;
      } else if (c == '}' && --depth == 0) {
        return text_.substr(begin, at_++ - begin);
      }
    }
    return make_error(Errc::invalid, "a \"${{\" is not closed");
  }

  Result<std::string> nested(std::string_view text) {
    TRY_ASSIGN(const std::vector<std::string> words, Expander(text, lookup_, escape_, depth_ + 1).run(false));
    return words.empty() ? std::string{} : words.front();
  }

  Result<std::string> braced() {
    ++at_;  // the "{"
    const std::size_t begin = at_;
    while (at_ < text_.size() && is_name(text_[at_])) ++at_;
    const std::string name{text_.substr(begin, at_ - begin)};
    if (name.empty()) return make_error(Errc::invalid, "\"${{\" without a variable's name");
    TRY_ASSIGN(const std::string_view modifier, until_brace());
    const std::optional<std::string> value = lookup_(name);
    return modifier.empty() ? Result<std::string>{value.value_or("")} : modified(name, value, modifier);
  }

  Result<std::string> modified(const std::string& name, const std::optional<std::string>& value,
                               std::string_view modifier) {
    const bool colon = modifier[0] == ':';
    const bool set = value && (!colon || !value->empty());
    const std::string_view rest = colon ? modifier.substr(1) : modifier;
    const char kind = rest.empty() ? '\0' : rest[0];
    if (kind == '-' || kind == '+' || kind == '?') {
      if (kind == '-' && set) return *value;
      if (kind == '+' && !set) return std::string{};
      if (kind == '?' && set) return *value;
      TRY_ASSIGN(std::string word, nested(rest.substr(1)));
      if (kind == '?') return make_error(Errc::invalid, "{}: {}", name, word.empty() ? "is not set" : word);
      return word;
    }
    const std::string text = value.value_or("");
    if (!colon && (kind == '#' || kind == '%')) {
      const bool longest = rest.size() > 1 && rest[1] == kind;
      TRY_ASSIGN(const std::string pattern, nested(rest.substr(longest ? 2 : 1)));
      return strip(text, pattern, kind == '#', longest);
    }
    if (!colon && kind == '/') {
      const bool all = rest.size() > 1 && rest[1] == '/';
      const std::string_view both = rest.substr(all ? 2 : 1);
      const std::size_t slash = both.find('/');
      TRY_ASSIGN(const std::string pattern, nested(both.substr(0, slash)));
      TRY_ASSIGN(const std::string with, nested(slash == std::string_view::npos ? "" : both.substr(slash + 1)));
      return replace(text, pattern, with, all);
    }
    return make_error(Errc::invalid, "\"${{{}{}}}\" has an unknown modifier", name, modifier);
  }

  std::string_view text_;
  const VariableLookup& lookup_;
  char escape_;
  int depth_;
  bool split_ = false;
  std::size_t at_ = 0;
  std::string word_;
  bool any_ = false;
  std::vector<std::string> words_;
};

}  // namespace

Result<std::string> expand_word(std::string_view text, const VariableLookup& lookup, char escape) {
  TRY_ASSIGN(const std::vector<std::string> words, Expander(text, lookup, escape).run(false));
  return words.empty() ? std::string{} : words.front();
}

Result<std::vector<std::string>> expand_words(std::string_view text, const VariableLookup& lookup, char escape) {
  return Expander(text, lookup, escape).run(true);
}

Result<std::string> expand_text(std::string_view text, const VariableLookup& lookup, char escape) {
  return Expander(text, lookup, escape).run_text();
}

std::vector<std::string> split_words(std::string_view text, char escape) {
  std::vector<std::string> words;
  std::string word;
  char quote = '\0';
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote == '\0' && is_blank(c)) {
      if (!word.empty()) words.push_back(std::move(word));
      word.clear();
      continue;
    }
    word += c;
    if (c == escape && quote != '\'' && i + 1 < text.size()) {
      word += text[++i];
    } else if (quote == '\0' && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == quote) {
      quote = '\0';
    }
  }
  if (!word.empty()) words.push_back(std::move(word));
  return words;
}

std::optional<std::vector<std::string>> parse_json_strings(std::string_view text) {
  if (!trim(text).starts_with('[')) return std::nullopt;
  const nlohmann::json document = nlohmann::json::parse(text, nullptr, false);
  if (!document.is_array()) return std::nullopt;
  std::vector<std::string> result;
  for (const nlohmann::json& item : document) {
    if (!item.is_string()) return std::nullopt;
    result.push_back(item.get<std::string>());
  }
  return result;
}

bool shell_pattern_matches(std::string_view pattern, std::string_view text) {
  return ::fnmatch(std::string{pattern}.c_str(), std::string{text}.c_str(), 0) == 0;
}

}  // namespace compose::image

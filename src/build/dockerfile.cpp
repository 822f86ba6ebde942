#include "build/dockerfile.hpp"

#include <algorithm>
#include <array>

#include "base/strings.hpp"
#include "image/shell_words.hpp"

namespace compose::build {

namespace {

constexpr std::array<std::string_view, 18> kKeywords = {
    "ADD",   "ARG",        "CMD",     "COPY", "ENTRYPOINT", "ENV",        "EXPOSE", "FROM",   "HEALTHCHECK",
    "LABEL", "MAINTAINER", "ONBUILD", "RUN",  "SHELL",      "STOPSIGNAL", "USER",   "VOLUME", "WORKDIR"};
constexpr std::size_t kMaxSource = std::size_t{1} << 20;
constexpr int kExcerptLines = 6;

bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::string_view trim_left(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(" \t\r\f\v"), text.size()));
}

std::string to_upper(std::string_view text) {
  std::string result{text};
  std::transform(result.begin(), result.end(), result.begin(), [](unsigned char c) { return std::toupper(c); });
  return result;
}

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  for (std::string& line : split(text, '\n')) {
    if (line.ends_with('\r')) line.pop_back();
    lines.push_back(std::move(line));
  }
  if (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

/// Takes the escape character off a line that is continued; false if it is not. A doubled one continues nothing.
bool take_continuation(std::string& line, char escape) {
  std::size_t end = line.size();
  while (end > 0 && is_blank(line[end - 1])) --end;
  if (end == 0 || line[end - 1] != escape) return false;
  if (end > 1 && line[end - 2] == escape) return false;
  line.resize(end - 1);
  return true;
}

bool is_comment(std::string_view line) { return trim_left(line).starts_with('#'); }

bool takes_heredocs(std::string_view keyword) { return keyword == "RUN" || keyword == "COPY" || keyword == "ADD"; }

/// The heredoc a word begins: digits, "<<", "-", a name that may be quoted.
std::optional<Heredoc> heredoc_word(std::string_view word) {
  const std::size_t mark = word.find("<<");
  if (mark == std::string_view::npos || (mark > 0 && !is_digits(word.substr(0, mark)))) return std::nullopt;
  Heredoc heredoc;
  heredoc.descriptor = static_cast<int>(parse_unsigned(word.substr(0, mark)).value_or(0));
  std::string_view name = word.substr(mark + 2);
  heredoc.strip_tabs = name.starts_with('-');
  if (heredoc.strip_tabs) name.remove_prefix(1);
  if (name.empty() || name.find('<') != std::string_view::npos) return std::nullopt;
  for (const char c : name) {
    if (c == '"' || c == '\'') {
      heredoc.expand = false;
    } else {
      heredoc.name += c;
    }
  }
  if (heredoc.name.empty()) return std::nullopt;
  return heredoc;
}

class Parser {
 public:
  Parser(std::string_view text, std::string name) {
    result_.name = std::move(name);
    result_.lines = split_lines(text);
    if (!result_.lines.empty() && result_.lines[0].starts_with("\xef\xbb\xbf")) result_.lines[0].erase(0, 3);
  }

  Result<Dockerfile> run() {
    TRY(directives());
    while (next_ < result_.lines.size()) {
      const std::string_view line = trim_left(result_.lines[next_]);
      if (line.empty() || line.starts_with('#')) {
        ++next_;
        continue;
      }
      TRY(instruction());
    }
    return std::move(result_);
  }

 private:
  int number(std::size_t index) const { return static_cast<int>(index) + 1; }

  /// "# name=value" lines before anything else.
  Result<void> directives() {
    std::map<std::string, bool> seen;
    for (; next_ < result_.lines.size(); ++next_) {
      const std::string_view line = trim(result_.lines[next_]);
      if (!line.starts_with('#')) return {};
      const std::string_view text = trim(line.substr(1));
      const std::size_t equals = text.find('=');
      if (equals == std::string_view::npos) return {};
      const std::string key = to_lower(trim(text.substr(0, equals)));
      const std::string_view value = trim(text.substr(equals + 1));
      if (key != "syntax" && key != "escape" && key != "check") return {};
      if (!seen.emplace(key, true).second) {
        return result_.error_at(number(next_), number(next_), fmt::format("the directive \"{}\" is given twice", key));
      }
      if (key == "syntax") result_.syntax = value;
      if (key == "check") result_.check = value;
      if (key == "escape") {
        if (value != "\\" && value != "`") {
          return result_.error_at(number(next_), number(next_), "the escape character can be \\ or `");
        }
        result_.escape = value[0];
      }
    }
    return {};
  }

  Result<void> instruction() {
    Instruction item;
    const std::size_t first = next_;
    item.line = number(first);
    std::string joined;
    bool continued = true;
    while (continued && next_ < result_.lines.size()) {
      const std::string& source = result_.lines[next_];
      const bool begins = next_ == first;
      // Comments and empty lines in the middle belong to nobody.
      if (!begins && (is_comment(source) || trim(source).empty())) {
        ++next_;
        continue;
      }
      std::string line = begins ? std::string{trim_left(source)} : source;
      continued = take_continuation(line, result_.escape);
      joined += line;
      ++next_;
    }
    const std::string_view whole = trim(joined);
    const std::size_t end = std::min(whole.find_first_of(" \t"), whole.size());
    item.keyword = to_upper(whole.substr(0, end));
    item.text = item.keyword + std::string{whole.substr(end)};
    TRY(check_keyword(item, first, std::string{whole.substr(0, end)}));
    std::string_view rest = trim(whole.substr(end));
    take_flags(rest, item.flags);
    item.arguments = rest;
    TRY(heredocs(item, whole));
    item.last_line = number(next_ - 1);
    result_.instructions.push_back(std::move(item));
    return {};
  }

  Result<void> check_keyword(const Instruction& item, std::size_t first, const std::string& written) const {
    if (std::find(kKeywords.begin(), kKeywords.end(), item.keyword) != kKeywords.end()) {
      return {};
    }
    const std::vector<std::string> known{kKeywords.begin(), kKeywords.end()};
    const std::optional<std::string> meant = nearest(item.keyword, known);
    const std::string hint = meant ? fmt::format(" (did you mean {}?)", *meant) : "";
    return result_.error_at(number(first), number(next_ - 1),
                            fmt::format("unknown instruction \"{}\"{}", written, hint));
  }

  /// Words that begin with "--", up to the first that does not.
  void take_flags(std::string_view& rest, std::vector<Flag>& flags) const {
    while (rest.starts_with("--")) {
      const std::vector<std::string> words = image::split_words(rest, result_.escape);
      if (words.empty()) return;
      const std::string& word = words.front();
      rest = trim(rest.substr(word.size()));
      if (word == "--") return;
      const std::size_t equals = word.find('=');
      Flag flag{word.substr(2, equals == std::string::npos ? equals : equals - 2), "", equals != std::string::npos};
      if (flag.has_value) flag.value = word.substr(equals + 1);
      flags.push_back(std::move(flag));
    }
  }

  Result<void> heredocs(Instruction& item, std::string_view whole) {
    std::string_view keyword = item.keyword;
    std::string inner;
    if (item.keyword == "ONBUILD") {
      inner = to_upper(item.arguments.substr(0, item.arguments.find_first_of(" \t")));
      keyword = inner;
    }
    if (!takes_heredocs(keyword) || image::parse_json_strings(item.arguments)) return {};
    for (const std::string& word : image::split_words(whole, result_.escape)) {
      std::optional<Heredoc> heredoc = heredoc_word(word);
      if (!heredoc) continue;
      bool closed = false;
      while (next_ < result_.lines.size() && !closed) {
        std::string_view line = result_.lines[next_++];
        if (heredoc->strip_tabs) line.remove_prefix(std::min(line.find_first_not_of('\t'), line.size()));
        closed = line == heredoc->name;
        if (!closed) heredoc->content.append(line).append("\n");
      }
      if (!closed) {
        return result_.error_at(item.line, item.line,
                                fmt::format("the here-document \"{}\" is not closed", heredoc->name));
      }
      item.heredocs.push_back(std::move(*heredoc));
    }
    return {};
  }

  Dockerfile result_;
  std::size_t next_ = 0;
};

}  // namespace

const Flag* Instruction::flag(std::string_view name) const {
  for (const Flag& item : flags) {
    if (item.name == name) return &item;
  }
  return nullptr;
}

namespace {

/// What of the lines a message is about: the first text it has in quotes that stands in one of them, else the
/// instruction's keyword.
struct Mark {
  int line = 0;
  std::size_t column = 0;
  std::size_t size = 0;
};

Mark mark_of(const std::vector<std::string>& lines, int first, int last, const std::string& message) {
  const auto line_at = [&](int number) -> const std::string& { return lines[static_cast<std::size_t>(number) - 1]; };
  for (std::size_t open = message.find('"'); open != std::string::npos;) {
    const std::size_t close = message.find('"', open + 1);
    if (close == std::string::npos) break;
    const std::string word = message.substr(open + 1, close - open - 1);
    for (int number = first; number <= last && !trim(word).empty(); ++number) {
      const std::size_t column = line_at(number).find(word);
      if (column != std::string::npos) return {number, column, word.size()};
    }
    open = message.find('"', close + 1);
  }
  const std::string& line = line_at(first);
  const std::size_t column = std::min(line.find_first_not_of(" \t"), line.size());
  return {first, column, std::min(line.find_first_of(" \t", column), line.size()) - column};
}

}  // namespace

Error Dockerfile::error_at(int first, int last, const std::string& message, Errc code) const {
  std::string text = fmt::format("{}:{}: {}", name, first, message);
  first = std::max(first, 1);
  const int end = std::min({last, first + kExcerptLines - 1, static_cast<int>(lines.size())});
  if (end < first) return Error{code, text};
  const Mark mark = mark_of(lines, first, end, message);
  for (int line = first; line <= end; ++line) {
    const std::string& source = lines[static_cast<std::size_t>(line) - 1];
    text += fmt::format("\n{:>6} | {}", line, source);
    if (line != mark.line || mark.size == 0) continue;
    // Tabs stay tabs, so that the caret stands where the text does.
    std::string indent = source.substr(0, mark.column);
    std::replace_if(
        indent.begin(), indent.end(), [](char c) { return c != '\t'; }, ' ');
    text += fmt::format("\n       | {}{}", indent, std::string(mark.size, '^'));
  }
  if (end < last) text += "\n       | …";
  return Error{code, text};
}

Result<Dockerfile> parse_dockerfile(std::string_view text, std::string name) {
  if (text.size() > kMaxSource) return make_error(Errc::invalid, "{}: longer than {} bytes", name, kMaxSource);
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    return make_error(Errc::invalid, "{}: not a text file", name);
  }
  TRY_ASSIGN(Dockerfile file, Parser(text, std::move(name)).run());
  if (file.instructions.empty()) return make_error(Errc::invalid, "{}: there is no instruction in it", file.name);
  return file;
}

Result<Instruction> parse_trigger(std::string_view text, char escape) {
  std::string source = escape == '\\' ? "" : fmt::format("# escape={}\n", escape);
  source += text;
  TRY_ASSIGN(Dockerfile file, Parser(source, "ONBUILD").run());
  if (file.instructions.size() != 1) return make_error(Errc::invalid, "ONBUILD {}: not one instruction", text);
  return std::move(file.instructions.front());
}

}  // namespace compose::build

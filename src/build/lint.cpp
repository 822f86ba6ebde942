#include "build/lint.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/strings.hpp"
#include "build/stages.hpp"
#include "image/shell_words.hpp"

namespace compose::build {

namespace {

constexpr std::string_view kRules = "https://docs.docker.com/go/dockerfile/rule/";
constexpr std::array<const char*, 10> kSecretWords = {"apikey", "auth",     "credential", "credentials", "key",
                                                      "passwd", "password", "pword",      "secret",      "token"};

struct Directive {
  bool skip_all = false;
  std::set<std::string> skipped;
  bool error = false;
};

/// "skip=RuleA,RuleB;error=true;experimental=all"
Result<Directive> parse_directive(const std::string& text) {
  Directive result;
  for (const std::string& part : split(text, ';')) {
    const std::string_view item = trim(part);
    if (item.empty()) continue;
    const std::size_t equals = item.find('=');
    const std::string key = to_lower(trim(item.substr(0, equals)));
    const std::string value{equals == std::string_view::npos ? "" : trim(item.substr(equals + 1))};
    if (key == "skip") {
      for (const std::string& rule : split(value, ',')) {
        if (to_lower(trim(rule)) == "all") result.skip_all = true;
        result.skipped.insert(std::string{trim(rule)});
      }
    } else if (key == "error") {
      result.error = to_lower(value) == "true" || value == "1";
    } else if (key != "experimental") {
      return make_error(Errc::invalid, "the check directive has skip, error and experimental, not \"{}\"", key);
    }
  }
  return result;
}

bool is_upper(const std::string& text) { return text != to_lower(text); }

/// The first word of an instruction as it was written.
std::string written_keyword(const Dockerfile& file, const Instruction& item) {
  const std::string_view line = trim(file.lines[static_cast<std::size_t>(item.line) - 1]);
  return std::string{line.substr(0, line.find_first_of(" \t"))};
}

/// Names behind "$" without a default, outside single quotes.
std::vector<std::string> variables_of(std::string_view text, char escape) {
  const auto is_name = [](char c) { return c == '_' || std::isalnum(static_cast<unsigned char>(c)) != 0; };
  std::vector<std::string> names;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == escape) {
      ++i;
    } else if (text[i] == '\'') {
      quoted = !quoted;
    } else if (text[i] == '$' && !quoted) {
      std::size_t begin = i + 1;
      const bool braced = begin < text.size() && text[begin] == '{';
      if (braced) ++begin;
      std::size_t end = begin;
      while (end < text.size() && is_name(text[end])) ++end;
      const bool plain = !braced || (end < text.size() && text[end] == '}');
      if (end > begin && plain && std::isdigit(static_cast<unsigned char>(text[begin])) == 0)
        names.emplace_back(text.substr(begin, end - begin));
    }
  }
  return names;
}

class Linter {
 public:
  explicit Linter(const Dockerfile& file) : file_{file} {
    for (const auto& [name, value] : platform_arguments()) global_.insert(name);
  }

  std::vector<LintWarning> run() {
    casing();
    for (const Instruction& item : file_.instructions) {
      empty_continuation(item);
      if (item.keyword == "FROM") {
        from(item);
      } else if (item.keyword == "ARG") {
        argument(item);
      } else {
        instruction(item);
      }
    }
    return std::move(warnings_);
  }

 private:
  void warn(const char* rule, const Instruction& item, std::string text) {
    warnings_.push_back({rule, std::move(text), item.line});
  }

  /// The casing most instructions have is the right one.
  void casing() {
    std::size_t upper = 0;
    std::vector<std::string> words;
    for (const Instruction& item : file_.instructions) {
      words.push_back(written_keyword(file_, item));
      upper += words.back() == item.keyword ? 1 : 0;
    }
    const bool want_upper = upper * 2 >= words.size();
    for (std::size_t i = 0; i < words.size(); ++i) {
      const Instruction& item = file_.instructions[i];
      const bool right = want_upper ? words[i] == item.keyword : words[i] == to_lower(words[i]);
      if (!right)
        warn("ConsistentInstructionCasing", item,
             fmt::format("Command '{}' should match the case of the command majority ({})", words[i],
                         want_upper ? "uppercase" : "lowercase"));
    }
  }

  void empty_continuation(const Instruction& item) {
    int end = item.last_line;
    for (const Heredoc& heredoc : item.heredocs)
      end -= static_cast<int>(std::count(heredoc.content.begin(), heredoc.content.end(), '\n')) + 1;
    for (int line = item.line; line < end; ++line)
      if (trim(file_.lines[static_cast<std::size_t>(line)]).empty()) {
        warn("NoEmptyContinuation", item, "Empty continuation line found");
        return;
      }
  }

  void from(const Instruction& item) {
    const std::vector<std::string> words = image::split_words(item.arguments, file_.escape);
    for (const std::string& name : variables_of(item.arguments, file_.escape))
      if (!global_.contains(name))
        warn("UndefinedArgInFrom", item, fmt::format("FROM argument '{}' is not declared", name));
    if (const Flag* platform = item.flag("platform")) {
      if (platform->value == "$TARGETPLATFORM" || platform->value == "${TARGETPLATFORM}")
        warn("RedundantTargetPlatform", item,
             "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior");
      if (platform->value.find('$') == std::string::npos)
        warn("FromPlatformFlagConstDisallowed", item,
             fmt::format("FROM --platform flag should not use constant value \"{}\"", platform->value));
    }
    if (words.size() == 3) {
      const std::string& name = words[2];
      if (is_upper(name)) warn("StageNameCasing", item, fmt::format("Stage name '{}' should be lowercase", name));
      if (is_upper(words[1]) != is_upper(written_keyword(file_, item)))
        warn("FromAsCasing", item,
             fmt::format("'{}' and '{}' keywords' casing do not match", words[1], written_keyword(file_, item)));
      if (to_lower(name) == "scratch" || to_lower(name) == "context")
        warn("ReservedStageName", item,
             fmt::format("Stage name should not use the same name as reserved stage \"{}\"", name));
      if (!stages_.insert(to_lower(name)).second)
        warn("DuplicateStageName", item,
             fmt::format("Duplicate stage name \"{}\", stage names should be unique", name));
    }
    in_stage_ = true;
    absolute_ = false;
    once_.clear();
    known_.clear();
  }

  void argument(const Instruction& item) {
    for (const std::string& word : image::split_words(item.arguments, file_.escape)) {
      const std::string name = word.substr(0, word.find('='));
      (in_stage_ ? known_ : global_).insert(name);
      secret_name(item, name);
    }
  }

  void secret_name(const Instruction& item, const std::string& name) {
    const std::string lower = to_lower(name);
    const std::vector<std::string> words = split(lower, '_');
    const bool is_public = std::find(words.begin(), words.end(), "public") != words.end();
    const bool secret = std::any_of(words.begin(), words.end(), [](const std::string& word) {
      return std::any_of(kSecretWords.begin(), kSecretWords.end(), [&](const char* known) { return word == known; });
    });
    if (secret && !is_public)
      warn("SecretsUsedInArgOrEnv", item,
           fmt::format("Do not use ARG or ENV instructions for sensitive data ({} \"{}\")", item.keyword, name));
  }

  void pairs(const Instruction& item) {
    const std::vector<std::string> words = image::split_words(item.arguments, file_.escape);
    if (words.empty()) return;
    if (words[0].find('=') == std::string::npos) {
      warn("LegacyKeyValueFormat", item,
           fmt::format("\"{0} key=value\" should be used instead of legacy \"{0} key value\" format", item.keyword));
      if (item.keyword == "ENV") known_.insert(words[0]);
      return;
    }
    for (const std::string& word : words) {
      if (item.keyword != "ENV") continue;
      const std::string name = word.substr(0, word.find('='));
      known_.insert(name);
      secret_name(item, name);
    }
  }

  void expose(const Instruction& item) {
    for (const std::string& word : image::split_words(item.arguments, file_.escape)) {
      const std::size_t slash = word.find('/');
      if (slash != std::string::npos && is_upper(word.substr(slash)) && word.find('$') == std::string::npos)
        warn("ExposeProtoCasing", item,
             fmt::format("Defined protocol '{}' in EXPOSE instruction should be lowercase", word));
      if (word.find(':') != std::string::npos)
        warn("ExposeInvalidFormat", item,
             fmt::format("EXPOSE instruction should not define an IP address or host-port mapping, found '{}'", word));
    }
  }

  void instruction(const Instruction& item) {
    const std::string& keyword = item.keyword;
    undefined_variables(item);
    if (keyword == "MAINTAINER")
      warn("MaintainerDeprecated", item, "Maintainer instruction is deprecated in favor of using label");
    if (keyword == "CMD" || keyword == "ENTRYPOINT" || keyword == "HEALTHCHECK") {
      if (!once_.insert(keyword).second)
        warn("MultipleInstructionsDisallowed", item,
             fmt::format("Multiple {} instructions should not be used in the same stage because only the last one will "
                         "be used",
                         keyword));
    }
    if (keyword == "SHELL") shell_ = true;
    if ((keyword == "CMD" || keyword == "ENTRYPOINT") && !shell_ && !image::parse_json_strings(item.arguments))
      warn("JSONArgsRecommended", item,
           fmt::format("JSON arguments recommended for {} to prevent unintended behavior related to OS signals",
                       keyword));
    if (keyword == "WORKDIR") {
      const std::string_view path = trim(item.arguments);
      if (path.starts_with('/') || path.starts_with('$')) absolute_ = true;
      if (!absolute_)
        warn("WorkdirRelativePath", item,
             fmt::format("Relative workdir \"{}\" can have unexpected results if the base image changes", path));
    }
    if (keyword == "ENV" || keyword == "LABEL") pairs(item);
    if (keyword == "EXPOSE") expose(item);
  }

  /// What the base image's environment has is not known here; PATH always is.
  void undefined_variables(const Instruction& item) {
    static const std::set<std::string> kExpanded = {"ADD",  "COPY",       "ENV",    "EXPOSE", "LABEL",
                                                    "USER", "STOPSIGNAL", "VOLUME", "WORKDIR"};
    if (!kExpanded.contains(item.keyword)) return;
    for (const std::string& name : variables_of(item.arguments, file_.escape))
      if (!known_.contains(name) && name != "PATH" && global_.contains(name))
        warn("UndefinedVar", item, fmt::format("Usage of undefined variable '${}'", name));
  }

  const Dockerfile& file_;
  std::vector<LintWarning> warnings_;
  std::set<std::string> global_;  ///< ARG before the first FROM, and the platforms
  std::set<std::string> known_;   ///< ARG and ENV of the stage
  std::set<std::string> stages_;
  std::set<std::string> once_;
  bool in_stage_ = false;
  bool absolute_ = false;
  bool shell_ = false;
};

/// JSONArgsRecommended → json-args-recommended
std::string address_of(const std::string& rule) {
  std::string name;
  for (std::size_t i = 0; i < rule.size(); ++i) {
    const bool upper = std::isupper(static_cast<unsigned char>(rule[i])) != 0;
    const bool after_lower = i > 0 && std::islower(static_cast<unsigned char>(rule[i - 1])) != 0;
    const bool before_lower = i + 1 < rule.size() && std::islower(static_cast<unsigned char>(rule[i + 1])) != 0;
    if (upper && i > 0 && (after_lower || before_lower)) name += '-';
    name += static_cast<char>(std::tolower(static_cast<unsigned char>(rule[i])));
  }
  return std::string{kRules} + name + "/";
}

}  // namespace

Result<LintReport> lint(const Dockerfile& file) {
  TRY_ASSIGN(const Directive directive, parse_directive(file.check).with("{}", file.name));
  LintReport report;
  report.is_error = directive.error;
  if (directive.skip_all) return report;
  report.warnings = Linter{file}.run();
  std::erase_if(report.warnings, [&](const LintWarning& warning) { return directive.skipped.contains(warning.rule); });
  std::ranges::stable_sort(report.warnings, {}, &LintWarning::line);
  return report;
}

std::string to_text(const LintWarning& warning, const Dockerfile& file) {
  const std::string& line = file.lines[static_cast<std::size_t>(warning.line) - 1];
  return fmt::format("WARNING: {} - {}\n{}\n{}:{}\n{:>6} | {}\n", warning.rule, address_of(warning.rule), warning.text,
                     file.name, warning.line, warning.line, line);
}

}  // namespace compose::build

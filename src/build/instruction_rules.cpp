#include "build/instruction_rules.hpp"

#include <algorithm>
#include <set>
#include <span>

#include "base/strings.hpp"
#include "image/shell_words.hpp"

namespace compose::build {

namespace {

struct FlagRule {
  enum class Kind { text, boolean, list };
  const char* name;
  Kind kind = Kind::text;
};

constexpr FlagRule kFrom[] = {{"platform"}};
constexpr FlagRule kRun[] = {{"mount", FlagRule::Kind::list}, {"network"}, {"security"}};
constexpr FlagRule kCopy[] = {{"from"},
                              {"chown"},
                              {"chmod"},
                              {"link", FlagRule::Kind::boolean},
                              {"parents", FlagRule::Kind::boolean},
                              {"exclude", FlagRule::Kind::list}};
constexpr FlagRule kAdd[] = {{"chown"},
                             {"chmod"},
                             {"link", FlagRule::Kind::boolean},
                             {"keep-git-dir", FlagRule::Kind::boolean},
                             {"checksum"},
                             {"unpack", FlagRule::Kind::boolean},
                             {"exclude", FlagRule::Kind::list}};
constexpr FlagRule kHealthcheck[] = {{"interval"}, {"timeout"}, {"start-period"}, {"start-interval"}, {"retries"}};

std::span<const FlagRule> rules_of(std::string_view keyword) {
  if (keyword == "FROM") return kFrom;
  if (keyword == "RUN") return kRun;
  if (keyword == "COPY") return kCopy;
  if (keyword == "ADD") return kAdd;
  if (keyword == "HEALTHCHECK") return kHealthcheck;
  return {};
}

bool is_boolean(const std::string& text) {
  const std::string lower = to_lower(text);
  return lower == "true" || lower == "false" || lower == "1" || lower == "0";
}

Error unknown_flag(const Instruction& item, const Flag& flag) {
  std::vector<std::string> known;
  for (const FlagRule& rule : rules_of(item.keyword)) known.emplace_back(rule.name);
  const std::optional<std::string> meant = nearest(flag.name, known);
  return make_error(Errc::invalid, "{} has no flag --{}{}", item.keyword, flag.name,
                    meant ? fmt::format(" (did you mean --{}?)", *meant) : "");
}

Result<void> check_flags(const Instruction& item) {
  const std::span<const FlagRule> rules = rules_of(item.keyword);
  std::set<std::string> seen;
  for (const Flag& flag : item.flags) {
    const auto rule = std::find_if(rules.begin(), rules.end(), [&](const FlagRule& r) { return r.name == flag.name; });
    if (rule == rules.end()) return unknown_flag(item, flag);
    if (!seen.insert(flag.name).second && rule->kind != FlagRule::Kind::list)
      return make_error(Errc::invalid, "{}: --{} is given twice", item.keyword, flag.name);
    if (rule->kind == FlagRule::Kind::boolean) {
      if (flag.has_value && !is_boolean(flag.value))
        return make_error(Errc::invalid, "{}: --{} is true or false, not \"{}\"", item.keyword, flag.name, flag.value);
    } else if (!flag.has_value) {
      return make_error(Errc::invalid, "{}: --{} needs a value: --{}=…", item.keyword, flag.name, flag.name);
    }
  }
  return {};
}

Result<void> check_words(const Instruction& item, char escape) {
  if (item.keyword == "RUN") {
    if (item.arguments.empty()) return make_error(Errc::invalid, "RUN needs a command");
    return {};
  }
  if (item.keyword != "COPY" && item.keyword != "ADD") return {};
  std::size_t count = image::split_words(item.arguments, escape).size();
  if (const auto listed = image::parse_json_strings(item.arguments)) count = listed->size();
  if (count < 2) return make_error(Errc::invalid, "{} wants at least one source and a destination", item.keyword);
  return {};
}

}  // namespace

Result<void> check_instruction(const Instruction& item, char escape) {
  TRY(check_flags(item));
  TRY(check_words(item, escape));
  if (item.keyword != "ONBUILD") return {};
  std::string trigger{trim(std::string_view{item.text}.substr(item.keyword.size()))};
  for (const Heredoc& heredoc : item.heredocs) trigger += "\n" + heredoc.content + heredoc.name;
  if (trigger.empty()) return make_error(Errc::invalid, "ONBUILD needs an instruction");
  TRY_ASSIGN(const Instruction inner, parse_trigger(trigger, escape));
  if (inner.keyword == "ONBUILD" || inner.keyword == "FROM" || inner.keyword == "MAINTAINER")
    return make_error(Errc::invalid, "{} is not allowed as an ONBUILD trigger", inner.keyword);
  return check_instruction(inner, escape);
}

bool switch_flag(const Instruction& item, std::string_view name, bool otherwise) {
  const Flag* flag = item.flag(name);
  if (flag == nullptr) return otherwise;
  return !flag->has_value || to_lower(flag->value) == "true" || flag->value == "1";
}

}  // namespace compose::build

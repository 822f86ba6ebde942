#include "cli/args.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include "base/strings.hpp"

namespace compose::cli {
namespace {

const Flag* find_long(std::span<const Flag> flags, std::string_view name) {
  for (const Flag& flag : flags)
    if (flag.name == name) return &flag;
  return nullptr;
}

const Flag* find_letter(std::span<const Flag> flags, char letter) {
  for (const Flag& flag : flags)
    if (flag.letter == letter) return &flag;
  return nullptr;
}

/// The letters of "-itu" up to the first that takes a value; true when that one is the last, so that its value is the
/// next argument.
bool cluster_wants_value(std::span<const Flag> flags, std::string_view letters) {
  for (std::size_t i = 0; i < letters.size(); ++i)
    for (const Flag& flag : flags)
      if (flag.letter == letters[i] && flag.takes_value()) return i + 1 == letters.size();
  return false;
}

/// CLI11 reads "--name=" as a name without a value and "-x=v" as the value "=v"; pflag gives "" and "v". So every
/// value becomes an argument of its own.
Strings split_assignments(std::span<const Flag> flags, const Strings& arguments, bool interspersed) {
  Strings result;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--" || (!interspersed && !argument.starts_with('-'))) {
      result.insert(result.end(), arguments.begin() + static_cast<std::ptrdiff_t>(i), arguments.end());
      break;
    }
    result.push_back(argument);
    if (argument.size() < 2 || argument[0] != '-') continue;
    const std::size_t equals = argument.find('=');
    const std::string name = argument.substr(0, equals);
    bool valued = false;
    if (name.starts_with("--")) {
      const Flag* flag = find_long(flags, std::string_view{name}.substr(2));
      valued = flag != nullptr && flag->takes_value();
    } else {
      valued = cluster_wants_value(flags, std::string_view{name}.substr(1));
    }
    const Flag* letter = name.size() == 2 ? find_letter(flags, name[1]) : nullptr;
    if (letter != nullptr && !valued && equals != std::string::npos)  // "-d=false"
      result.back() = fmt::format("--{}{}", letter->name, argument.substr(equals));
    if (!valued) continue;
    if (equals != std::string::npos) {
      result.back() = name;
      result.push_back(argument.substr(equals + 1));
    } else if (i + 1 < arguments.size()) {
      result.push_back(arguments[++i]);  // the value, whatever it looks like
    }
  }
  return result;
}

std::optional<bool> parse_bool(std::string_view text) {
  for (const char* yes : {"1", "t", "T", "true", "TRUE", "True"})
    if (text == yes) return true;
  for (const char* no : {"0", "f", "F", "false", "FALSE", "False"})
    if (text == no) return false;
  return std::nullopt;
}

std::string spelling(const Flag& flag) {
  return flag.letter == 0 ? fmt::format("--{}", flag.name) : fmt::format("-{}, --{}", flag.letter, flag.name);
}

UsageError bad_value(const Flag& flag, const std::string& text, std::string_view wanted) {
  return UsageError{fmt::format("invalid argument \"{}\" for \"{}\" flag: {} is wanted", text, spelling(flag), wanted)};
}

struct Store {
  const Flag& flag;
  const Strings& values;  // at least one
  std::optional<UsageError> error{};

  std::optional<bool> boolean() {
    const auto value = parse_bool(values.back());
    if (!value) error = bad_value(flag, values.back(), "true or false");
    return value;
  }
  std::optional<int> number() {
    const auto value = parse_signed(values.back());
    if (value && *value >= INT32_MIN && *value <= INT32_MAX) return static_cast<int>(*value);
    error = bad_value(flag, values.back(), "a whole number");
    return std::nullopt;
  }
  void operator()(bool* target) {
    if (const auto value = boolean()) *target = *value;
  }
  void operator()(std::optional<bool>* target) { *target = boolean(); }
  void operator()(int* target) {
    if (const auto value = number()) *target = *value;
  }
  void operator()(std::optional<int>* target) { *target = number(); }
  void operator()(std::string* target) { *target = values.back(); }
  void operator()(std::optional<std::string>* target) { *target = values.back(); }
  void operator()(Strings* target) { *target = values; }
};

UsageError unknown_flag(std::span<const Flag> flags, const std::string& argument) {
  if (!argument.starts_with("--"))
    return UsageError{fmt::format("unknown shorthand flag: '{}' in {}", argument.substr(1, 1), argument)};
  const std::string name = argument.substr(0, argument.find('='));
  Strings names;
  for (const Flag& flag : flags)
    if (!flag.hidden) names.push_back(fmt::format("--{}", flag.name));
  std::string message = fmt::format("unknown flag: {}", name);
  if (const auto guess = nearest(name, names)) message += fmt::format(" (did you mean {}?)", *guess);
  return UsageError{std::move(message)};
}

std::string option_names(const Flag& flag) {
  return flag.letter == 0 ? fmt::format("--{}", flag.name) : fmt::format("-{},--{}", flag.letter, flag.name);
}

}  // namespace

std::variant<Parsed, UsageError> parse_flags(std::span<const Flag> flags, const Strings& arguments, bool interspersed) {
  CLI::App app;
  app.set_help_flag();
  std::vector<CLI::Option*> options;
  options.reserve(flags.size());
  for (const Flag& flag : flags) {
    CLI::Option* option = flag.takes_value() ? app.add_option(option_names(flag)) : app.add_flag(option_names(flag));
    option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    if (flag.takes_value()) option->expected(1)->allow_extra_args(false);
    options.push_back(option);
  }
  Strings positional;
  if (interspersed) {
    app.add_option("arguments", positional);
    app.allow_extras();
  } else {
    app.prefix_command();
  }
  Strings split = split_assignments(flags, arguments, interspersed);
  std::reverse(split.begin(), split.end());  // CLI11 takes its arguments from the back
  try {
    app.parse(std::move(split));
  } catch (const CLI::ArgumentMismatch&) {
    return UsageError{fmt::format("flag needs an argument: {}", arguments.back())};
  } catch (const CLI::Error& error) {
    return UsageError{error.what()};
  }

  Parsed parsed;
  Strings remaining = app.remaining();
  // CLI11 leaves the mark "--" among what it did not understand.
  const bool marked = !remaining.empty() && remaining.front() == "--";
  if (marked) remaining.erase(remaining.begin());
  if (interspersed) {
    if (!remaining.empty()) return unknown_flag(flags, remaining.front());
    parsed.arguments = std::move(positional);
  } else {
    if (!marked && !remaining.empty() && remaining.front().size() > 1 && remaining.front()[0] == '-')
      return unknown_flag(flags, remaining.front());
    parsed.arguments = std::move(remaining);
  }
  for (std::size_t i = 0; i < flags.size(); ++i) {
    if (options[i]->count() == 0) continue;
    const Flag& flag = flags[i];
    if (!flag.refused.empty()) return UsageError{fmt::format("--{}: {}", flag.name, flag.refused)};
    Store store{flag, options[i]->results()};
    std::visit(store, flag.target);
    if (store.error) return *store.error;
    parsed.given.push_back(&flag);
  }
  return parsed;
}

}  // namespace compose::cli

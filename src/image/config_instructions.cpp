#include "image/config_instructions.hpp"

#include <string.h>

#include <algorithm>
#include <array>

#include "base/strings.hpp"
#include "image/merged_view.hpp"

namespace compose::image {

namespace {

constexpr std::array<std::string_view, 13> kInstructions = {"CMD",   "ENTRYPOINT", "ENV",     "EXPOSE", "HEALTHCHECK",
                                                            "LABEL", "MAINTAINER", "ONBUILD", "SHELL",  "STOPSIGNAL",
                                                            "USER",  "VOLUME",     "WORKDIR"};

template <typename... Args>
Error wrong(fmt::format_string<Args...> format, Args&&... args) {
  return make_error(Errc::invalid, format, std::forward<Args>(args)...);
}

/// Exec form as it is, shell form behind the shell.
std::vector<std::string> command_line(const ImageConfig& config, std::string_view arguments) {
  if (std::optional<std::vector<std::string>> exec = parse_json_strings(arguments)) return *exec;
  std::vector<std::string> command = shell_of(config);
  command.emplace_back(arguments);
  return command;
}

Result<std::uint64_t> parse_port(std::string_view text) {
  const std::optional<std::uint64_t> port = parse_unsigned(text);
  if (!port || *port == 0 || *port > 65535) return wrong("EXPOSE: \"{}\" is no port from 1 to 65535", text);
  return *port;
}

Result<void> expose(ImageConfig& config, const std::string& word) {
  const std::size_t slash = word.find('/');
  const std::string protocol = slash == std::string::npos ? "tcp" : to_lower(word.substr(slash + 1));
  if (protocol != "tcp" && protocol != "udp" && protocol != "sctp")
    return wrong("EXPOSE: unknown protocol in \"{}\"", word);
  const std::string ports = word.substr(0, slash);
  const std::size_t dash = ports.find('-');
  TRY_ASSIGN(const std::uint64_t first, parse_port(ports.substr(0, dash)));
  std::uint64_t last = first;
  if (dash != std::string::npos) {
    TRY_ASSIGN(last, parse_port(ports.substr(dash + 1)));
  }
  if (last < first) return wrong("EXPOSE: the range \"{}\" is empty", word);
  for (std::uint64_t port = first; port <= last; ++port)
    config.exposed_ports.insert(fmt::format("{}/{}", port, protocol));
  return {};
}

Result<void> healthcheck_option(Healthcheck& check, std::string_view option) {
  const std::size_t equals = option.find('=');
  const std::string_view name = option.substr(0, equals);
  const std::string_view value = equals == std::string_view::npos ? "" : option.substr(equals + 1);
  if (name == "--retries") {
    const std::optional<std::uint64_t> retries = parse_unsigned(value);
    if (!retries || *retries > 1'000'000) return wrong("HEALTHCHECK: --retries wants a number, not \"{}\"", value);
    check.retries = static_cast<int>(*retries);
    return {};
  }
  Duration* target = nullptr;
  if (name == "--interval") target = &check.interval;
  if (name == "--timeout") target = &check.timeout;
  if (name == "--start-period") target = &check.start_period;
  if (name == "--start-interval") target = &check.start_interval;
  if (!target) return wrong("HEALTHCHECK: unknown flag \"{}\"", name);
  TRY_ASSIGN(*target, parse_duration(value).with("HEALTHCHECK: {}", name));
  // Docker's own limit; 0 stands for "not given".
  if (target->count() < 0 || (target->count() > 0 && *target < std::chrono::milliseconds{1}))
    return wrong("HEALTHCHECK: {} must be at least 1ms", name);
  return {};
}

Result<void> healthcheck(ImageConfig& config, std::string_view arguments) {
  Healthcheck check;
  std::string_view rest = trim(arguments);
  while (rest.starts_with("--")) {
    const std::size_t end = std::min(rest.find_first_of(" \t"), rest.size());
    TRY(healthcheck_option(check, rest.substr(0, end)));
    rest = trim(rest.substr(end));
  }
  const std::size_t end = std::min(rest.find_first_of(" \t"), rest.size());
  const std::string kind = to_lower(rest.substr(0, end));
  const std::string_view command = trim(rest.substr(end));
  if (kind == "none") {
    if (!command.empty()) return wrong("HEALTHCHECK NONE takes no arguments");
    check = Healthcheck{};
    check.test = {"NONE"};
  } else if (kind == "cmd") {
    if (command.empty()) return wrong("HEALTHCHECK CMD needs a command");
    if (const std::optional<std::vector<std::string>> exec = parse_json_strings(command)) {
      check.test = *exec;
      check.test.insert(check.test.begin(), "CMD");
    } else {
      check.test = {"CMD-SHELL", std::string{command}};
    }
  } else {
    return wrong("HEALTHCHECK wants CMD or NONE, not \"{}\"", rest.substr(0, end));
  }
  config.healthcheck = std::move(check);
  return {};
}

Result<void> volume(ImageConfig& config, std::string_view arguments, const InstructionContext& context) {
  std::vector<std::string> paths;
  if (std::optional<std::vector<std::string>> listed = parse_json_strings(arguments)) {
    for (const std::string& item : *listed) {
      TRY_ASSIGN(std::string path, expand_word(item, context.lookup, context.escape));
      paths.push_back(std::move(path));
    }
  } else {
    TRY_ASSIGN(paths, expand_words(arguments, context.lookup, context.escape));
  }
  if (paths.empty()) return wrong("VOLUME needs at least one path");
  for (const std::string& path : paths) {
    if (trim(path).empty()) return wrong("VOLUME: a path is empty");
    config.volumes.insert(path);
  }
  return {};
}

/// A number, or a name with or without "SIG" (signal(7)), real-time signals as "RTMIN+3".
bool is_signal(const std::string& text) {
  if (const std::optional<std::uint64_t> number = parse_unsigned(text)) return *number >= 1 && *number <= 64;
  std::string name = text;
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::toupper(c); });
  if (name.starts_with("SIG")) name.erase(0, 3);
  for (const char* other : {"IOT", "CLD", "POLL", "UNUSED", "RTMIN", "RTMAX"})
    if (name == other) return true;
  if (name.starts_with("RTMIN+") || name.starts_with("RTMAX-"))
    return parse_unsigned(name.substr(6)).value_or(99) <= 30;
  for (int number = 1; number < 32; ++number)
    if (const char* known = ::sigabbrev_np(number); known != nullptr && name == known) return true;
  return false;
}

Result<void> on_build(ImageConfig& config, std::string_view arguments) {
  std::string keyword{arguments.substr(0, std::min(arguments.find_first_of(" \t"), arguments.size()))};
  std::transform(keyword.begin(), keyword.end(), keyword.begin(),
                 [](char c) { return static_cast<char>(std::toupper(c)); });
  if (keyword == "ONBUILD" || keyword == "FROM" || keyword == "MAINTAINER") {
    return wrong("{} is not allowed as an ONBUILD trigger", keyword);
  }
  config.on_build.emplace_back(arguments);
  return {};
}

Result<void> shell(ImageConfig& config, std::string_view arguments) {
  const std::optional<std::vector<std::string>> words = parse_json_strings(arguments);
  if (!words || words->empty())
    return wrong("SHELL wants its arguments as a JSON array: SHELL [\"/bin/bash\", \"-c\"]");
  config.shell = *words;
  return {};
}

}  // namespace

bool is_config_instruction(std::string_view keyword) {
  return std::find(kInstructions.begin(), kInstructions.end(), keyword) != kInstructions.end();
}

std::vector<std::string> shell_of(const ImageConfig& config) {
  return config.shell.empty() ? std::vector<std::string>{"/bin/sh", "-c"} : config.shell;
}

std::string change_directory(const std::string& current, const std::string& to) {
  return "/" + lexical_path(to.starts_with('/') ? to : current + "/" + to);
}

Result<std::vector<std::pair<std::string, std::string>>> parse_pairs(std::string_view keyword,
                                                                     std::string_view arguments,
                                                                     const InstructionContext& context) {
  const std::vector<std::string> words = split_words(arguments, context.escape);
  if (words.empty()) return wrong("{} needs at least one NAME=value", keyword);
  std::vector<std::pair<std::string, std::string>> pairs;
  if (words[0].find('=') == std::string::npos) {
    const std::string_view rest = trim(trim(arguments).substr(words[0].size()));
    if (rest.empty()) return wrong("{}: \"{}\" has no value", keyword, words[0]);
    TRY_ASSIGN(std::string name, expand_word(words[0], context.lookup, context.escape));
    TRY_ASSIGN(std::string value, expand_word(rest, context.lookup, context.escape));
    pairs.emplace_back(std::move(name), std::move(value));
    return pairs;
  }
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) return wrong("{}: \"{}\" is not NAME=value", keyword, word);
    TRY_ASSIGN(std::string name, expand_word(word.substr(0, equals), context.lookup, context.escape));
    TRY_ASSIGN(std::string value, expand_word(word.substr(equals + 1), context.lookup, context.escape));
    if (name.empty()) return wrong("{}: \"{}\" has an empty name", keyword, word);
    pairs.emplace_back(std::move(name), std::move(value));
  }
  return pairs;
}

Result<void> apply_instruction(ImageConfig& config, std::string_view keyword, std::string_view arguments,
                               InstructionContext& context) {
  const std::string_view rest = trim(arguments);
  if (rest.empty()) return wrong("{} needs an argument", keyword);
  if (keyword == "ENV" || keyword == "LABEL") {
    TRY_ASSIGN(const auto pairs, parse_pairs(keyword, rest, context));
    for (const auto& [name, value] : pairs) {
      if (keyword == "ENV") {
        config.set_env(name, value);
      } else {
        config.labels[name] = value;
      }
    }
    return {};
  }
  if (keyword == "CMD") {
    config.cmd = command_line(config, rest);
    context.cmd_set = true;
    return {};
  }
  if (keyword == "ENTRYPOINT") {
    config.entrypoint = command_line(config, rest);
    // The base's CMD were arguments for the base's entry point.
    if (!context.cmd_set) config.cmd.reset();
    return {};
  }
  if (keyword == "EXPOSE") {
    TRY_ASSIGN(const std::vector<std::string> words, expand_words(rest, context.lookup, context.escape));
    for (const std::string& word : words) TRY(expose(config, word));
    return {};
  }
  if (keyword == "HEALTHCHECK") return healthcheck(config, rest);
  if (keyword == "VOLUME") return volume(config, rest, context);
  if (keyword == "SHELL") return shell(config, rest);
  if (keyword == "ONBUILD") return on_build(config, rest);
  TRY_ASSIGN(const std::string word, expand_word(rest, context.lookup, context.escape));
  if (word.empty()) return wrong("{}: the argument \"{}\" is empty", keyword, rest);
  if (keyword == "USER") config.user = word;
  if (keyword == "WORKDIR") config.working_dir = change_directory(config.working_dir, word);
  if (keyword == "STOPSIGNAL") {
    if (!is_signal(word)) return wrong("STOPSIGNAL: there is no signal \"{}\"", word);
    config.stop_signal = word;
  }
  if (keyword == "MAINTAINER") config.author = word;
  return {};
}

}  // namespace compose::image

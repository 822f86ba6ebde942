#include "build/stages.hpp"

#include <algorithm>

#include "base/strings.hpp"
#include "build/contexts.hpp"
#include "build/instruction_rules.hpp"
#include "build/mount_options.hpp"
#include "image/config_instructions.hpp"
#include "image/store_internal.hpp"

namespace compose::build {

namespace {

bool is_stage_name(const std::string& name) {
  return !name.empty() && name[0] >= 'a' && name[0] <= 'z' && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  });
}

/// ARG before the first FROM.
Result<void> add_global(const Dockerfile& file, const Instruction& item, const Arguments& build_args,
                        Arguments& globals) {
  image::InstructionContext context;
  context.escape = file.escape;
  context.lookup = [&](std::string_view name) -> std::optional<std::string> {
    const auto it = globals.find(std::string{name});
    return it == globals.end() ? std::nullopt : std::optional{it->second};
  };
  for (const std::string& word : image::split_words(item.arguments, file.escape)) {
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    if (const auto given = build_args.find(name); given != build_args.end()) {
      globals[name] = given->second;
    } else if (equals != std::string::npos) {
      Result<std::string> value = image::expand_word(word.substr(equals + 1), context.lookup, file.escape);
      if (!value) return file.error_at(item, value.error().message());
      globals[name] = *value;
    }
  }
  return {};
}

Result<Stage> begin_stage(const Dockerfile& file, const Instruction& item, const Arguments& globals) {
  const auto lookup = [&](std::string_view name) -> std::optional<std::string> {
    const auto it = globals.find(std::string{name});
    return it == globals.end() ? std::nullopt : std::optional{it->second};
  };
  Stage stage;
  stage.from = item;
  const std::vector<std::string> words = image::split_words(item.arguments, file.escape);
  if (words.size() != 1 && !(words.size() == 3 && to_lower(words[1]) == "as")) {
    return file.error_at(item, "FROM wants an image, or an image \"AS\" a name");
  }
  Result<std::string> base = image::expand_word(words[0], lookup, file.escape);
  if (!base) return file.error_at(item, base.error().message());
  if (base->empty())
    return file.error_at(item, fmt::format("the image \"{}\" is empty: a variable in it has no value", words[0]));
  stage.base = *base;
  if (words.size() == 3) {
    stage.name = to_lower(words[2]);
    if (!is_stage_name(stage.name)) return file.error_at(item, fmt::format("\"{}\" is no name for a stage", words[2]));
  }
  for (const Flag& flag : item.flags) {
    Result<std::string> platform = image::expand_word(flag.value, lookup, file.escape);
    if (!platform) return file.error_at(item, platform.error().message());
    stage.platform = *platform;
  }
  return stage;
}

}  // namespace

std::string Stage::label(std::size_t stage_count) const {
  if (!name.empty()) return name;
  return stage_count > 1 ? fmt::format("stage-{}", index) : "";
}

std::optional<std::size_t> StagePlan::find_stage(const std::string& name, std::size_t before, bool numbers) const {
  const std::string wanted = to_lower(name);
  for (std::size_t i = before; i-- > 0;) {
    if (!stages[i].name.empty() && stages[i].name == wanted) return i;
  }
  if (!numbers) return std::nullopt;
  const std::optional<std::uint64_t> number = parse_unsigned(name);
  if (number && *number < before) return static_cast<std::size_t>(*number);
  return std::nullopt;
}

std::vector<std::string> StagePlan::sources_of(const Stage& stage) {
  std::vector<std::string> result;
  for (const Instruction& item : stage.instructions) {
    for (const Flag& flag : item.flags) {
      if (flag.name == "from" && item.keyword != "RUN") result.push_back(flag.value);
      if (flag.name != "mount" || item.keyword != "RUN") continue;
      if (std::string from = mount_source_name(flag.value); !from.empty()) result.push_back(std::move(from));
    }
  }
  return result;
}

std::set<std::size_t> StagePlan::needs(std::size_t index) const {
  std::set<std::size_t> result;
  const auto add = [&](const std::string& name, bool numbers) {
    if (find_context(contexts, name)) return;  // a context of that name stands before the stage
    if (const auto other = find_stage(name, index, numbers)) result.insert(*other);
  };
  add(stages[index].base, false);
  for (const std::string& source : sources_of(stages[index])) add(source, true);
  return result;
}

std::set<std::size_t> StagePlan::needed() const {
  std::set<std::size_t> result;
  std::vector<std::size_t> open{target};
  while (!open.empty()) {
    const std::size_t index = open.back();
    open.pop_back();
    if (!result.insert(index).second) continue;
    for (const std::size_t other : needs(index)) open.push_back(other);
  }
  return result;
}

Arguments platform_arguments() {
  const std::string architecture = image::host_architecture();
  Arguments result;
  for (const char* side : {"TARGET", "BUILD"}) {
    result[std::string{side} + "OS"] = "linux";
    result[std::string{side} + "ARCH"] = architecture;
    result[std::string{side} + "VARIANT"] = "";
    result[std::string{side} + "PLATFORM"] = "linux/" + architecture;
  }
  return result;
}

Result<StagePlan> plan_stages(Dockerfile file, const Arguments& build_args, const std::string& target) {
  StagePlan plan;
  Arguments visible = platform_arguments();
  for (const Instruction& item : file.instructions) {
    if (const Result<void> correct = check_instruction(item, file.escape); !correct)
      return file.error_at(item, correct.error().message());
    if (item.keyword == "FROM") {
      TRY_ASSIGN(Stage stage, begin_stage(file, item, visible));
      stage.index = static_cast<int>(plan.stages.size());
      plan.stages.push_back(std::move(stage));
    } else if (!plan.stages.empty()) {
      plan.stages.back().instructions.push_back(item);
    } else if (item.keyword == "ARG") {
      TRY(add_global(file, item, build_args, visible));
    } else {
      return file.error_at(item, fmt::format("{} before the first FROM: only ARG may stand there", item.keyword));
    }
  }
  if (plan.stages.empty()) return make_error(Errc::invalid, "{}: there is no FROM in it", file.name);
  plan.file = std::move(file);
  plan.global_args = std::move(visible);
  plan.target = plan.stages.size() - 1;
  if (target.empty()) return plan;
  const std::optional<std::size_t> found = plan.find_stage(target, plan.stages.size(), true);
  if (!found) {
    std::vector<std::string> names;
    for (const Stage& stage : plan.stages) names.push_back(stage.name);
    const std::optional<std::string> meant = nearest(to_lower(target), names);
    const std::string hint = meant && !meant->empty() ? fmt::format(" (did you mean \"{}\"?)", *meant) : "";
    return make_error(Errc::not_found, "{}: there is no stage \"{}\"{}", plan.file.name, target, hint);
  }
  plan.target = *found;
  return plan;
}

}  // namespace compose::build

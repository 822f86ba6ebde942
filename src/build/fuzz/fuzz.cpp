#include "build/fuzz/fuzz.hpp"

#include <cstdio>
#include <cstdlib>

#include "build/file_mode.hpp"
#include "build/ignore.hpp"
#include "build/lint.hpp"
#include "build/mount_options.hpp"
#include "build/remote.hpp"
#include "build/stages.hpp"
#include "image/config_instructions.hpp"

namespace compose::build::fuzz {

void dockerfile(std::string_view bytes) {
  Result<Dockerfile> file = parse_dockerfile(bytes, "Dockerfile");
  if (!file) return;
  const auto lookup = [](std::string_view name) -> std::optional<std::string> {
    return name.size() % 2 == 0 ? std::nullopt : std::optional{std::string{"value of "} + std::string{name}};
  };
  image::ImageConfig config;
  image::InstructionContext context{lookup, file->escape, false};
  for (const Instruction& item : file->instructions) {
    if (item.line < 1 || item.last_line < item.line || item.last_line > static_cast<int>(file->lines.size())) {
      std::fprintf(stderr, "broken: an instruction lies outside the file\n");
      std::abort();
    }
    (void)file->error_at(item, "x");
    (void)image::expand_words(item.arguments, lookup, file->escape);
    for (const Flag& flag : item.flags) {
      (void)parse_mount(flag.value, lookup, file->escape);
      const Result<ModeChange> change = ModeChange::parse(flag.value);
      if (change && (change->apply(0644, false) > 07777 || change->apply(0, true) > 07777)) {
        std::fprintf(stderr, "broken: a mode has more than the permission bits\n");
        std::abort();
      }
    }
    if (image::is_config_instruction(item.keyword)) {
      (void)image::apply_instruction(config, item.keyword, item.arguments, context);
    }
  }
  (void)IgnoreRules{bytes}.ignored("some/path.txt");
  if (const Result<LintReport> report = lint(*file)) {
    for (const LintWarning& warning : report->warnings) (void)to_text(warning, *file);
  }
  (void)parse_git(std::string{bytes});
  (void)url_file_name(std::string{bytes});
  const Result<StagePlan> plan = plan_stages(std::move(*file), {{"A", "b"}}, "");
  if (plan) (void)plan->needed();
}

}  // namespace compose::build::fuzz

#include "build/fuzz/fuzz.hpp"

#include <cstdio>
#include <cstdlib>

#include "build/ignore.hpp"
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
    if (image::is_config_instruction(item.keyword)) {
      (void)image::apply_instruction(config, item.keyword, item.arguments, context);
    }
  }
  (void)IgnoreRules{bytes}.ignored("some/path.txt");
  const Result<StagePlan> plan = plan_stages(std::move(*file), {{"A", "b"}}, "");
  if (plan) (void)plan->needed();
}

}  // namespace compose::build::fuzz

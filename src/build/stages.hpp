#pragma once
// A Dockerfile as stages: what each is based on, which of them a target needs.
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "build/dockerfile.hpp"
#include "compose/model/build.hpp"

namespace compose::build {

using Arguments = std::map<std::string, std::string>;

struct Stage {
  int index = 0;
  std::string name;      ///< lower case, "" without AS
  std::string base;      ///< image, stage or "scratch", variables replaced
  std::string platform;  ///< of --platform, variables replaced
  Instruction from;
  std::vector<Instruction> instructions;

  /// What progress shows: the name, or "stage-1" when there are several.
  std::string label(std::size_t stage_count) const;
};

struct StagePlan {
  Dockerfile file;
  std::vector<Stage> stages;
  Arguments global_args;  ///< ARG before the first FROM, values from the build where given
  std::size_t target = 0;
  model::StringMap contexts;  ///< build.additional_contexts: their names stand before those of stages

  /// The stage `name` means when written in stage `before`: an earlier one with that name, or with that number if
  /// `numbers`; nothing for an image or another context.
  std::optional<std::size_t> find_stage(const std::string& name, std::size_t before, bool numbers) const;
  /// Stages that one stage takes something from.
  std::set<std::size_t> needs(std::size_t index) const;
  /// Stages that the target needs, itself included: FROM, COPY --from and RUN --mount=from.
  std::set<std::size_t> needed() const;
  /// What a stage takes from elsewhere by COPY --from or RUN --mount from=, as written.
  static std::vector<std::string> sources_of(const Stage& stage);
};

/// TARGETPLATFORM, TARGETARCH and their like for this machine.
Arguments platform_arguments();

/// Errors name the line. An unknown `target` names the nearest stage; "" is the last.
Result<StagePlan> plan_stages(Dockerfile file, const Arguments& build_args, const std::string& target);

}  // namespace compose::build

#pragma once
// `up` that stays: the containers' output, their ends, Ctrl-C.
#include <nlohmann/json_fwd.hpp>

#include "cli/context.hpp"
#include "cli/up_options.hpp"

namespace compose::cli {

/// Carries out `request` (an "apply") with the output of the attached services on the screen. Returns 0 when all of
/// them have ended by themselves, 130 after Ctrl-C or SIGTERM, the code of the container that --exit-code-from or
/// --abort-on-container-exit names.
Result<int> up_attached(Context& context, const model::Project& project, const Strings& services,
                        const UpOptions& options, const nlohmann::json& request);

}  // namespace compose::cli

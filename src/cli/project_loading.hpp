#pragma once
// The loader's options from the command line, for commands that want more than a project.
#include "cli/context.hpp"
#include "compose/load/load.hpp"

namespace compose::cli {

/// Everything the global flags and the process's environment say.
load::Options load_options(const GlobalOptions& global);
inline load::Options load_options(const Context& context) { return load_options(context.options()); }

/// Loads from the disk and prints warnings; errors are printed with their excerpts, the Error then has no message.
Result<load::LoadResult> load_checked(Context& context, const load::Options& options);

}  // namespace compose::cli

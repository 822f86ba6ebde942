#pragma once
// Where our own programs are.
#include <string>

#include "base/error.hpp"

namespace compose::sys {

/// The path of this process's own program.
Result<std::string> own_program();

/// A helper such as "compose-monitor": in $COMPOSE_LIBEXEC; else in ../libexec/compose beside this program; else in
/// the install folder; else in the build tree. Errors name what was looked for.
Result<std::string> program_path(const std::string& name);

}  // namespace compose::sys

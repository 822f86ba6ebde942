#pragma once
// What an instruction may look like before anything of it is carried out: its flags, how often they may be given, how
// many words it needs. The whole file is checked, stages that are not built too, as Docker does.
#include "build/dockerfile.hpp"

namespace compose::build {

/// Errc::invalid says what is wrong; the caller adds the place. Checks what an ONBUILD trigger says as well.
Result<void> check_instruction(const Instruction& item, char escape);

/// "", "true", "1" and "false", "0" of a flag that is a switch; `otherwise` when it is not given.
bool switch_flag(const Instruction& item, std::string_view name, bool otherwise = false);

}  // namespace compose::build

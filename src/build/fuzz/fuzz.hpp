#pragma once
// Functions that take any bytes; see image/fuzz/fuzz.hpp.
#include <string_view>

namespace compose::build::fuzz {

/// A Dockerfile: parsed, cut into stages, its words expanded. Aborts when an instruction's place is not in the file.
void dockerfile(std::string_view bytes);

}  // namespace compose::build::fuzz

#pragma once
#include <string>

namespace compose::cli {

/// "0.1.0"
std::string version_number();
/// "Compose version v0.1.0\n"
std::string version_line();

}  // namespace compose::cli

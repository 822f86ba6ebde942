#pragma once
// A command written as one string, as the words a program gets.
#include <string>
#include <string_view>
#include <vector>

namespace compose::load {

/// Splits a command line as Docker Compose does: quotes and backslashes as in sh, no expansions; a control operator
/// (| ; & < >) outside of quotes ends it. False for one that is not complete.
bool split_command(std::string_view line, std::vector<std::string>& words);

}  // namespace compose::load

#pragma once
// --help, from the table of commands and their flags.
#include <string>

#include "cli/commands.hpp"

namespace compose::cli {

/// The program's own help: all visible commands, the global flags.
std::string root_help(const std::string& program, std::span<const Flag> global);
/// A group's ("image"): its commands.
std::string group_help(const std::string& program, const Entry& group, std::span<const Flag> global);
/// "help exit-codes": the table of exit codes.
std::string exit_codes_help();
std::string command_help(const std::string& program, const Command& command, std::span<const Flag> global);

}  // namespace compose::cli

#pragma once
// The syntax of Dockerfiles: lines to instructions, with the place of each. Nothing is replaced and nothing is looked
// up here. Source of the rules: the Dockerfile reference ("Format", "Parser directives", "Here-documents").
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace compose::build {

struct Flag {
  std::string name;   ///< "from" of --from=x
  std::string value;  ///< "" without "="
  bool has_value = false;
};

struct Heredoc {
  std::string name;     ///< EOF
  std::string content;  ///< with the last line feed; tabs stripped for <<-
  bool expand = true;   ///< false: the name was quoted
  bool strip_tabs = false;
  int descriptor = 0;  ///< the number before "<<", 0 if none
};

struct Instruction {
  std::string keyword;  ///< upper case
  std::vector<Flag> flags;
  std::string arguments;  ///< what follows the flags, continued lines joined
  std::string text;       ///< the whole instruction in one line, as progress and history show it
  std::vector<Heredoc> heredocs;
  int line = 0;  ///< from 1
  int last_line = 0;

  const Flag* flag(std::string_view name) const;
};

struct Dockerfile {
  std::string name;                ///< for messages: "Dockerfile", "web/prod.Dockerfile"
  std::vector<std::string> lines;  ///< of the source
  char escape = '\\';
  std::string syntax;  ///< of "# syntax="
  std::string check;   ///< of "# check="
  std::vector<Instruction> instructions;

  /// "Dockerfile:3: message" and below it the lines first..last with their numbers; carets under the first text in
  /// double quotes of the message that stands there, else under the instruction.
  Error error_at(int first, int last, const std::string& message, Errc code = Errc::invalid) const;
  Error error_at(const Instruction& instruction, const std::string& message, Errc code = Errc::invalid) const {
    return error_at(instruction.line, instruction.last_line, message, code);
  }
};

/// Errors carry line and excerpt. An unknown instruction is an error with the nearest known one.
Result<Dockerfile> parse_dockerfile(std::string_view text, std::string name);

/// One instruction as an ONBUILD trigger keeps it.
Result<Instruction> parse_trigger(std::string_view text, char escape);

}  // namespace compose::build

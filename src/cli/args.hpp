#pragma once
// What a command is: its flags, its arguments and the function behind it. One description serves the parser, --help,
// shell completion, the manual pages and the test that walks the list of Docker Compose's flags.
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.hpp"

namespace compose::cli {

class Context;
using Strings = std::vector<std::string>;

/// Where the parser writes a flag's value; its type says what the flag takes. optional<…> tells "not given" apart.
using Target = std::variant<bool*, std::optional<bool>*, int*, std::optional<int>*, std::string*,
                            std::optional<std::string>*, Strings*>;

struct Flag {
  std::string_view name;  ///< without the dashes
  char letter = 0;        ///< the short form, 0 = none
  Target target;
  std::string_view help;
  std::string_view value = {};       ///< the value's name in --help, "" = from the type
  bool hidden = false;               ///< not in --help
  std::string_view refused = {};     ///< not empty: the flag is known and giving it fails with this reason
  std::string_view deprecated = {};  ///< not empty: giving it prints this warning

  bool takes_value() const {
    return !std::holds_alternative<bool*>(target) && !std::holds_alternative<std::optional<bool>*>(target);
  }
};

/// What completion offers for a command's arguments.
enum class Complete : std::uint8_t { nothing, services, service_then_files, files, images };

struct Command {
  std::string_view name;  ///< "up", "image import"
  std::string_view usage = {};
  std::string_view summary;
  std::vector<Flag> flags = {};
  std::function<Result<int>(Context&, const Strings&)> run = {};
  std::size_t min_args = 0;
  std::size_t max_args = SIZE_MAX;
  /// false: flags end at the first argument, everything after belongs to the container's command (run, exec)
  bool interspersed = true;
  Complete complete = Complete::nothing;
  std::string_view details = {};  ///< further paragraphs of --help
};

/// A mistake on the command line; the program prints it with a hint at --help and exits with 1.
struct UsageError {
  std::string message;
};

struct Parsed {
  Strings arguments;               ///< what is not a flag, in order
  std::vector<const Flag*> given;  ///< the flags that were there
};

/// Reads `arguments` (without the program's or the command's name) into the flags' targets. Bools take "--x" and
/// "--x=false", others "--x=v", "--x v", "-xv" and "-x v"; letters of bools may be joined ("-it"); "--" ends the flags.
/// The rules are those of Go's pflag, which Docker Compose uses.
std::variant<Parsed, UsageError> parse_flags(std::span<const Flag> flags, const Strings& arguments, bool interspersed);

}  // namespace compose::cli

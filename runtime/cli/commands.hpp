#pragma once
// The commands of compose-runtime; each gets the words after its name and gives the program's exit status.
#include <span>
#include <string>

#include "base/error.hpp"
#include "runtime/cli/arguments.hpp"

namespace compose::runtime::cli {

/// The options before the command.
struct Globals {
  std::string root;
  bool root_is_given = false;
  bool no_cgroups = false;  ///< --cgroup-manager disabled
  bool debug = false;
};

using Words = std::span<const std::string>;

Result<int> create(const Globals& globals, Words words);
Result<int> start(const Globals& globals, Words words);
Result<int> run(const Globals& globals, Words words);
Result<int> exec(const Globals& globals, Words words);
Result<int> state(const Globals& globals, Words words);
Result<int> kill(const Globals& globals, Words words);
Result<int> remove(const Globals& globals, Words words);
Result<int> list(const Globals& globals, Words words);
Result<int> ps(const Globals& globals, Words words);
Result<int> pause(const Globals& globals, Words words);
Result<int> resume(const Globals& globals, Words words);
Result<int> update(const Globals& globals, Words words);
Result<int> events(const Globals& globals, Words words);
Result<int> features(const Globals& globals, Words words);
Result<int> write_spec(const Globals& globals, Words words);

/// The one word a command wants: a container's id.
Result<std::string> only_id(const Arguments& arguments);
/// A failure whose exit status is not 1 (127 and 126 of a command that cannot be run).
Result<int> fail_with(int status, const std::string& message);
/// On standard error, a line each.
void warn(std::span<const std::string> warnings);

}  // namespace compose::runtime::cli

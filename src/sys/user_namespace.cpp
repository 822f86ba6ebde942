#include "sys/user_namespace.hpp"

#include "base/strings.hpp"
#include "sys/file.hpp"

namespace compose::sys {

bool in_initial_user_namespace() {
  const std::string map = read_file("/proc/self/uid_map", 4096).value_or("");
  // There every id is itself: "0 0 4294967295" in columns.
  std::vector<std::string> words = split(trim(map), ' ');
  std::erase(words, "");
  return words.empty() || words == std::vector<std::string>{"0", "0", "4294967295"};
}

}  // namespace compose::sys

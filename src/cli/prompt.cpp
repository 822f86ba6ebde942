#include "cli/prompt.hpp"

#include <unistd.h>

#include "base/strings.hpp"
#include "sys/file.hpp"

namespace compose::cli {

Result<bool> confirm(const std::string& question) {
  TRY(sys::write_all(STDERR_FILENO, question + "? [yN] "));
  std::string answer;
  char c = 0;
  while (::read(STDIN_FILENO, &c, 1) == 1 && c != '\n') answer += c;
  if (c != '\n') TRY(sys::write_all(STDERR_FILENO, "\n"));
  const std::string word = to_lower(trim(answer));
  return word == "y" || word == "yes";
}

}  // namespace compose::cli

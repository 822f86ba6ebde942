#include <csignal>
#include <cstring>

#include "base/strings.hpp"
#include "supervisor/containers.hpp"

namespace compose::supervisor {

Result<int> parse_signal(const std::string& text) {
  if (const auto number = parse_unsigned(text); number && *number > 0 && *number < static_cast<unsigned>(NSIG)) {
    return static_cast<int>(*number);
  }
  std::string name = text;
  for (char& letter : name) letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
  if (name.starts_with("SIG")) name.erase(0, 3);
  for (int number = 1; number < SIGRTMIN; ++number) {
    const char* known = ::sigabbrev_np(number);
    if (known != nullptr && name == known) return number;
  }
  if (name.starts_with("RTMIN")) {
    if (name.size() == 5) return SIGRTMIN;
    if (const auto offset = parse_unsigned(name.substr(6)); name[5] == '+' && offset && *offset <= 30) {
      return SIGRTMIN + static_cast<int>(*offset);
    }
  }
  return make_error(Errc::invalid, "unknown signal \"{}\"", text);
}

}  // namespace compose::supervisor

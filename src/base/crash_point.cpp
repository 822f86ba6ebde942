#include "base/crash_point.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace compose {
namespace {

struct Plan {
  bool active = false;
  std::string role;
  std::string log;
  unsigned long at = 0;  // 0: nowhere
  std::string token;
};

std::string role_of_this_process() {
  char line[4096] = {};
  const int fd = ::open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
  const ssize_t size = fd < 0 ? 0 : ::read(fd, line, sizeof line - 1);
  if (fd >= 0) ::close(fd);
  const std::string words{line, size > 0 ? static_cast<std::size_t>(size) : 0};
  if (words.starts_with("compose-monitor")) return "monitor";
  const std::string supervise{"\0supervise\0", 11};
  return words.find(supervise) == std::string::npos ? "command" : "supervisor";
}

Plan read_plan() {
  Plan plan;
  const char* log = std::getenv("COMPOSE_CRASH_LOG");
  const char* at = std::getenv("COMPOSE_CRASH_AT");
  if (log == nullptr && at == nullptr) return plan;
  plan.active = true;
  plan.role = role_of_this_process();
  if (log != nullptr) plan.log = log;
  const std::string text = at == nullptr ? "" : at;
  const auto first = text.find(':');
  const auto second = text.find(':', first + 1);
  if (first == std::string::npos || second == std::string::npos) return plan;
  if (text.substr(0, first) != plan.role) return plan;
  plan.at = std::strtoul(text.c_str() + first + 1, nullptr, 10);
  plan.token = text.substr(second + 1);
  return plan;
}

}  // namespace

void crash_point(const char* action, const char* object) {
  static const Plan plan = read_plan();
  if (!plan.active) return;
  static std::atomic<unsigned long> counter{0};
  const unsigned long number = ++counter;
  if (!plan.log.empty()) {
    const char* base = std::strrchr(object, '/');
    char line[256];
    const int size = std::snprintf(line, sizeof line, "%s %lu %s %s\n", plan.role.c_str(), number, action,
                                   base == nullptr ? object : base + 1);
    const int fd = ::open(plan.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd >= 0 && size > 0) [[maybe_unused]]
      const auto written = ::write(fd, line, std::min(static_cast<std::size_t>(size), sizeof line - 1));
    if (fd >= 0) ::close(fd);
  }
  if (number == plan.at && ::unlink(plan.token.c_str()) == 0) ::kill(::getpid(), SIGKILL);
}

}  // namespace compose

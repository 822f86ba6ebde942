#include "supervisor/orphans.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include "base/strings.hpp"
#include "sys/file.hpp"

namespace compose::supervisor {

namespace {
ProcessIds ids_of(pid_t pid) { return {pid, ::getpgid(pid), ::getsid(pid)}; }
}  // namespace

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> children;
  const std::string tasks = fmt::format("/proc/{}/task", pid);
  const auto threads = sys::list_directory(tasks);
  if (!threads) return children;
  for (const std::string& thread : *threads) {
    const auto text = sys::read_file(fmt::format("{}/{}/children", tasks, thread));
    if (!text) continue;
    for (const std::string& word : split(trim(*text), ' ')) {
      if (const auto child = parse_unsigned(word)) children.push_back(static_cast<pid_t>(*child));
    }
  }
  return children;
}

bool unawaited(const ProcessIds& child, const ProcessIds& self) {
  return child.session != self.session || (child.group != child.pid && child.group != self.group);
}

void reap_orphans() {
  const ProcessIds self = ids_of(::getpid());
  siginfo_t ended{};
  // One that is waited for elsewhere hides the others from this look: then each child is looked at.
  while (::waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid != 0) {
    if (!unawaited(ids_of(ended.si_pid), self)) {
      for (const pid_t child : children_of(self.pid)) {
        if (unawaited(ids_of(child), self)) ::waitpid(child, nullptr, WNOHANG);
      }
      return;
    }
    ::waitpid(ended.si_pid, nullptr, WNOHANG);
    ended = {};
  }
}

}  // namespace compose::supervisor

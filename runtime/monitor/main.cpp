// compose-monitor: started by monitor::Client::spawn with its request in descriptor 3 and its supervisor in 4.
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "runtime/monitor/monitor.hpp"

int main() {
  compose::UniqueFd request{3};
  compose::UniqueFd supervisor{4};
  struct stat status{};
  if (::fstat(request.get(), &status) != 0 || ::fstat(supervisor.get(), &status) != 0 || !S_ISSOCK(status.st_mode)) {
    (void)request.release();
    (void)supervisor.release();
    std::fputs("compose-monitor keeps one container; the supervisor starts it\n", stderr);
    return 2;
  }
  ::prctl(PR_SET_NAME, "compose-monitor");  // run by its descriptor, it would be "5" in ps(1)
  ::close(5);                               // the read-only copy of this program that we were run from
  return compose::runtime::monitor::run_monitor(std::move(request), std::move(supervisor));
}

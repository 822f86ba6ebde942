// compose-init: pid 1 of containers with `init: true`. Runs the command as its child, passes signals on to it, reaps
// whatever is orphaned, and ends as the command ends. Usage: compose-init -- COMMAND [ARGUMENT…]
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <initializer_list>

namespace {

/// The command: a process group of its own in the foreground of the terminal, so that Ctrl-C reaches it once.
[[noreturn]] void run_command(char** argv, const sigset_t& mask) {
  ::setpgid(0, 0);
  if (::isatty(0) == 1) {
    ::signal(SIGTTOU, SIG_IGN);
    ::tcsetpgrp(0, ::getpid());
    ::signal(SIGTTOU, SIG_DFL);
  }
  ::sigprocmask(SIG_SETMASK, &mask, nullptr);
  ::execvp(argv[0], argv);
  const int code = errno;
  std::fprintf(stderr, "exec %s: %s\n", argv[0], std::strerror(code));
  ::_exit(code == ENOENT ? 127 : 126);
}

int exit_code(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

}  // namespace

int main(int argc, char** argv) {
  int first = 1;
  if (first < argc && std::strcmp(argv[first], "--") == 0) ++first;
  if (first >= argc) {
    std::fputs("usage: compose-init -- COMMAND [ARGUMENT...]\n", stderr);
    return 2;
  }
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  // Synchronous signals stay as they are: a fault of our own must end us.
  for (const int signo : {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS, SIGTTIN, SIGTTOU}) {
    ::sigdelset(&all, signo);
  }
  ::sigprocmask(SIG_BLOCK, &all, &before);
  const pid_t child = ::fork();
  if (child < 0) {
    std::perror("fork");
    return 125;
  }
  if (child == 0) run_command(argv + first, before);
  for (;;) {
    siginfo_t info{};
    const int signo = ::sigwaitinfo(&all, &info);
    if (signo < 0) continue;
    if (signo != SIGCHLD) {
      ::kill(child, signo);
      continue;
    }
    int status = 0;
    int result = -1;
    pid_t pid = 0;
    while ((pid = ::waitpid(-1, &status, WNOHANG)) > 0) {
      if (pid == child) result = exit_code(status);
    }
    if (result >= 0) return result;
  }
}

// What running without root needs, for `compose doctor` of an ordinary user.
#include <pwd.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>

#include "base/strings.hpp"
#include "cli/rootless.hpp"
#include "container/doctor/probes.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

namespace compose::cli::rootless {
namespace {

namespace doctor = container::doctor;
using doctor::Check;

bool on_path(const std::string& name) {
  const char* path = std::getenv("PATH");
  for (const auto& folder : split(std::string{path == nullptr ? "" : path} + ":/usr/bin:/usr/sbin", ':'))
    if (folder.starts_with('/') && ::access((folder + "/" + name).c_str(), X_OK) == 0) return true;
  return false;
}

Check check_user_namespace() {
  // In a process of its own: a thread may not have one (unshare(2)).
  const pid_t child = ::fork();
  if (child == 0) ::_exit(::unshare(CLONE_NEWUSER) == 0 ? 0 : errno);
  const auto status = sys::wait_child(child);
  if (status && status->code == 0) return doctor::ok("user namespace", "this user may make one");
  return doctor::missing("user namespace", status ? os_error_from(status->code, "unshare").message() : "fork failed",
                         "as root: sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=28633");
}

Check check_ids(const char* file) {
  const passwd* entry = ::getpwuid(::getuid());
  const std::string user = entry == nullptr ? std::to_string(::getuid()) : entry->pw_name;
  const auto range = subordinate_ids(sys::read_file(file).value_or(""), user, ::getuid());
  if (range && range->count >= 65536) {
    return doctor::ok(file, fmt::format("{} ids from {} for {}", range->count, range->first, user));
  }
  const std::string remedy =
      fmt::format("as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {}", user);
  if (range) return doctor::warning(file, fmt::format("{} has {} ids, images use 65536", user, range->count), remedy);
  return doctor::missing(file, fmt::format("no ids for {}", user), remedy);
}

Check check_program(const char* name, const char* package, const char* use) {
  if (on_path(name)) return doctor::ok(name, use);
  return doctor::missing(name, "not found", fmt::format("as root: apt-get install {}", package));
}

}  // namespace

std::vector<Check> examine() {
  std::vector<Check> checks{check_user_namespace(),
                            check_ids("/etc/subuid"),
                            check_ids("/etc/subgid"),
                            check_program("newuidmap", "uidmap", "maps this user's ids"),
                            check_program("newgidmap", "uidmap", "maps this user's groups"),
                            check_program("slirp4netns", "slirp4netns", "carries the network and published ports")};
  if (::access("/dev/net/tun", R_OK | W_OK) == 0) {
    checks.push_back(doctor::ok("/dev/net/tun", "can be opened"));
  } else {
    checks.push_back(doctor::missing("/dev/net/tun", os_error("/dev/net/tun").message(),
                                     "as root: modprobe tun; chmod 666 /dev/net/tun"));
  }
  return checks;
}

}  // namespace compose::cli::rootless

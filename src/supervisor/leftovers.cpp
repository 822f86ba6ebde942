#include "supervisor/leftovers.hpp"

#include <unistd.h>

#include "base/strings.hpp"
#include "sys/file.hpp"
#include "sys/lock.hpp"

namespace compose::supervisor {
namespace {

void sweep(const std::string& directory) {
  const auto names = sys::list_directory(directory);
  if (!names) return;
  for (const std::string& name : *names) {
    const auto mark = name.rfind(".tmp-");
    if (mark == std::string::npos) continue;
    const std::string rest = name.substr(mark + 5);
    const auto pid = parse_unsigned(rest.substr(0, rest.find('-')));
    if (!pid || *pid == 0 || *pid > 0x7FFFFFFF) continue;
    // One that has ended and that nobody has waited for yet has no command line.
    const auto line = sys::read_file(fmt::format("/proc/{}/cmdline", *pid));
    const bool lives = line && !line->empty();
    if (!lives || static_cast<pid_t>(*pid) == ::getpid()) ::unlink((directory + "/" + name).c_str());
  }
}

/// A volume without its description is not there yet: whoever was making it has died, or holds its lock.
void remove_undescribed(const state::Paths& paths, const std::string& volume) {
  if (sys::exists(paths.volume_meta(volume))) return;
  const auto lock = sys::FileLock::try_acquire(paths.volume(volume) + "/lock");
  if (!lock || !*lock || sys::exists(paths.volume_meta(volume))) return;
  [[maybe_unused]] const auto removed = sys::remove_tree(paths.volume(volume));
}

}  // namespace

void remove_half_written(const state::Paths& paths, const std::string& project, const std::string& id) {
  sweep(paths.container(project, id));
  sweep(paths.run_container(id));
}

void remove_half_written(const state::Paths& paths, const std::string& project) {
  for (const std::string& directory : {paths.root(), paths.root() + "/networks", paths.run_root(),
                                       paths.project(project), paths.run_project(project)}) {
    sweep(directory);
  }
  if (const auto ids = sys::list_directory(paths.containers(project))) {
    for (const std::string& id : *ids) remove_half_written(paths, project, id);
  }
  if (const auto volumes = sys::list_directory(paths.volumes())) {
    for (const std::string& name : *volumes) {
      sweep(paths.volume(name));
      remove_undescribed(paths, name);
    }
  }
}

}  // namespace compose::supervisor

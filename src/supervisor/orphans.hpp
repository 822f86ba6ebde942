#pragma once
// Processes whose parents have died and that have come to this one (PR_SET_CHILD_SUBREAPER).
//
// A command inside a container that has lost its parent stays a zombie until somebody waits for it, and as long as it
// is there the container's own first process does not end (pid_namespaces(7)). That must not depend on the host's init.
#include <sys/types.h>

#include <vector>

namespace compose::supervisor {

/// The children of all threads of a process.
std::vector<pid_t> children_of(pid_t pid);

struct ProcessIds {
  pid_t pid = 0;
  pid_t group = 0;
  pid_t session = 0;
};
/// Whether nobody in the process `self` waits for its child. What it starts itself and waits for stays in its session,
/// and leads a group or belongs to its own; monitors lead sessions, and whoever started one does not wait for it.
bool unawaited(const ProcessIds& child, const ProcessIds& self);

/// Waits for every such child that has ended.
void reap_orphans();

}  // namespace compose::supervisor

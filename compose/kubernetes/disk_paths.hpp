#pragma once
// The files and folders of this host that an export needs, read with a bound.
#include <map>
#include <string>

#include "compose/kubernetes/options.hpp"

namespace compose::kubernetes {

/// What each of `paths` (absolute) is, with the content of files of at most kMostBytes, and of the regular files of
/// folders up to kMostBytes and kMostFiles in all. Symbolic links within folders are not followed.
std::map<std::string, HostPath> read_paths(const Strings& paths);

}  // namespace compose::kubernetes

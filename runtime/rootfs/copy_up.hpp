#pragma once
// The content of an image's directory into a fresh tmpfs ("tmpcopyup").
#include "base/error.hpp"

namespace compose::runtime::rootfs {

/// Copies files, directories, links and nodes with owner, mode and times; the two are directory descriptors (O_PATH
/// will do). Links are copied, never followed.
Result<void> copy_directory(int from, int to);

}  // namespace compose::runtime::rootfs

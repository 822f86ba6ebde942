#pragma once
// Loads and attaches the device program of a v2 group (bpf(2), BPF_CGROUP_DEVICE).
#include <string_view>

#include "base/error.hpp"

namespace compose::runtime::cgroup {

/// `program` is struct bpf_insn[]. A program of an earlier call is replaced. The kernel keeps it as long as the group.
Result<void> attach_device_program(int group_fd, std::string_view program);

}  // namespace compose::runtime::cgroup

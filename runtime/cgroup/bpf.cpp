#include "runtime/cgroup/bpf.hpp"

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "base/unique_fd.hpp"

namespace compose::runtime::cgroup {
namespace {

long bpf(int command, bpf_attr& attributes) { return ::syscall(SYS_bpf, command, &attributes, sizeof attributes); }

std::uint64_t address(const void* pointer) { return reinterpret_cast<std::uint64_t>(pointer); }  // NOLINT: bpf(2)

/// The programs attached now, as descriptors.
void detach_others(int group_fd, int keep_fd) {
  std::array<std::uint32_t, 64> ids{};
  bpf_attr query{};
  query.query.target_fd = static_cast<std::uint32_t>(group_fd);
  query.query.attach_type = BPF_CGROUP_DEVICE;
  query.query.prog_cnt = ids.size();
  query.query.prog_ids = address(ids.data());
  if (bpf(BPF_PROG_QUERY, query) != 0) return;
  bpf_prog_info own{};
  bpf_attr info{};
  info.info.bpf_fd = static_cast<std::uint32_t>(keep_fd);
  info.info.info_len = sizeof own;
  info.info.info = address(&own);
  if (bpf(BPF_OBJ_GET_INFO_BY_FD, info) != 0) return;
  for (std::uint32_t i = 0; i < query.query.prog_cnt && i < ids.size(); ++i) {
    if (ids[i] == own.id) continue;
    bpf_attr get{};
    get.prog_id = ids[i];
    const UniqueFd program{static_cast<int>(bpf(BPF_PROG_GET_FD_BY_ID, get))};
    if (!program.valid()) continue;
    bpf_attr detach{};
    detach.target_fd = static_cast<std::uint32_t>(group_fd);
    detach.attach_bpf_fd = static_cast<std::uint32_t>(program.get());
    detach.attach_type = BPF_CGROUP_DEVICE;
    bpf(BPF_PROG_DETACH, detach);
  }
}

}  // namespace

Result<void> attach_device_program(int group_fd, std::string_view program) {
  static constexpr char kLicense[] = "Apache-2.0";
  bpf_attr load{};
  load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  load.insns = address(program.data());
  load.insn_cnt = static_cast<std::uint32_t>(program.size() / sizeof(bpf_insn));
  load.license = address(kLicense);
  const UniqueFd fd{static_cast<int>(bpf(BPF_PROG_LOAD, load))};
  if (!fd.valid()) return os_error("linux.resources.devices: load the device program");
  bpf_attr attach{};
  attach.target_fd = static_cast<std::uint32_t>(group_fd);
  attach.attach_bpf_fd = static_cast<std::uint32_t>(fd.get());
  attach.attach_type = BPF_CGROUP_DEVICE;
  // With ALLOW_MULTI all attached programs must agree, so a group inside another's keeps both restrictions.
  attach.attach_flags = BPF_F_ALLOW_MULTI;
  if (bpf(BPF_PROG_ATTACH, attach) != 0) return os_error("linux.resources.devices: attach the device program");
  detach_others(group_fd, fd.get());
  return {};
}

}  // namespace compose::runtime::cgroup

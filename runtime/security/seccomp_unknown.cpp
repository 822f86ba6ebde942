#include "runtime/security/seccomp_unknown.hpp"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <set>
#include <vector>

#include "runtime/security/seccomp.hpp"

namespace compose::runtime::security {
namespace {

// The two 64-bit modes of x86 share an audit architecture; this bit of the number tells them apart
// (seccomp_unotify(2), "__X32_SYSCALL_BIT").
constexpr std::uint32_t kX32 = 0x40000000;

/// The largest number in the profile; 0 when it names no call of this architecture.
std::uint32_t newest_call(const spec::Seccomp& seccomp, std::uint32_t architecture) {
  int newest = 0;
  for (const auto& rule : seccomp.syscalls) {
    for (const auto& name : rule.names) {
      // Negative: not a call of this architecture.
      newest = std::max(newest, ::seccomp_syscall_resolve_name_arch(architecture, name.c_str()));
    }
  }
  return static_cast<std::uint32_t>(newest);
}

class Program {
 public:
  void load(std::size_t offset) { add(BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<std::uint32_t>(offset)); }
  /// ENOSYS above `newest`, and nothing more to do here below it.
  void limit(std::uint32_t newest) {
    if (newest != 0) {
      add(BPF_JMP | BPF_JGT | BPF_K, 0, 1, newest);
      add(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | ENOSYS);
    }
    ends_.push_back(code_.size());
    add(BPF_JMP | BPF_JA, 0, 0, 0);
  }
  void add(int code, std::size_t if_true, std::size_t if_false, std::uint32_t value) {
    code_.push_back({static_cast<std::uint16_t>(code), static_cast<std::uint8_t>(if_true),
                     static_cast<std::uint8_t>(if_false), value});
  }
  void append(const Program& other) {
    for (const std::size_t end : other.ends_) ends_.push_back(code_.size() + end);
    code_.insert(code_.end(), other.code_.begin(), other.code_.end());
  }
  std::size_t size() const { return code_.size(); }
  std::string bytes() && {
    for (const std::size_t end : ends_) code_[end].k = static_cast<std::uint32_t>(code_.size() - end - 1);
    return {reinterpret_cast<const char*>(code_.data()), code_.size() * sizeof(sock_filter)};  // NOLINT: the kernel's
  }

 private:
  std::vector<sock_filter> code_;
  std::vector<std::size_t> ends_;  ///< jumps to what comes after
};

}  // namespace

std::string refuse_unknown_calls(const spec::Seccomp& seccomp, std::uint32_t default_action) {
  // A tracer can answer for new calls itself.
  const std::uint32_t kind = default_action & SECCOMP_RET_ACTION_FULL;
  if (kind == SECCOMP_RET_ALLOW || kind == SECCOMP_RET_LOG || kind == SECCOMP_RET_TRACE) return {};
  if (default_action == (SECCOMP_RET_ERRNO | ENOSYS)) return {};
  std::set<std::uint32_t> architectures = {::seccomp_arch_native()};
  for (const std::string& name : seccomp.architectures) {
    if (const auto architecture = architecture_of(name)) architectures.insert(*architecture);
  }
  const bool with_x32 = architectures.erase(SCMP_ARCH_X32) != 0;
  if (with_x32) architectures.insert(SCMP_ARCH_X86_64);
  Program program;
  program.load(offsetof(seccomp_data, arch));
  for (const std::uint32_t architecture : architectures) {
    Program block;
    block.load(offsetof(seccomp_data, nr));
    Program calls;
    calls.limit(newest_call(seccomp, architecture));
    if (architecture == SCMP_ARCH_X86_64) block.add(BPF_JMP | BPF_JSET | BPF_K, calls.size(), 0, kX32);
    block.append(calls);
    if (architecture == SCMP_ARCH_X86_64) {
      const std::uint32_t newest = with_x32 ? newest_call(seccomp, SCMP_ARCH_X32) : 0;
      block.limit(newest == 0 ? 0 : newest | kX32);
    }
    program.add(BPF_JMP | BPF_JEQ | BPF_K, 0, block.size(), architecture);
    program.append(block);
  }
  return std::move(program).bytes();
}

}  // namespace compose::runtime::security

#include "runtime/security/seccomp.hpp"

#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <utility>

#include "base/sha256.hpp"
#include "base/unique_fd.hpp"
#include "runtime/launch/codec.hpp"
#include "runtime/security/seccomp_unknown.hpp"
#include "sys/file.hpp"

namespace compose::runtime::spec {
// For the cache key only.
void fields(codec::Encoder& a, const SeccompArg& v) {
  a("index", v.index);
  a("value", v.value);
  a("value_two", v.value_two);
  a("op", v.op);
}
void fields(codec::Encoder& a, const SeccompRule& v) {
  a("names", v.names);
  a("action", v.action);
  a("errno", v.errno_ret);
  a("args", v.args);
}
}  // namespace compose::runtime::spec

namespace compose::runtime::security {
namespace {

using Context = std::unique_ptr<void, decltype(&::seccomp_release)>;

constexpr std::pair<const char*, std::uint32_t> kActions[] = {
    {"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD},
    {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
    {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
    {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
    {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0)},
    {"SCMP_ACT_TRACE", SCMP_ACT_TRACE(0)},
    {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
    {"SCMP_ACT_LOG", SCMP_ACT_LOG},
    {"SCMP_ACT_NOTIFY", SCMP_ACT_NOTIFY},
};

constexpr std::pair<const char*, scmp_compare> kOperators[] = {
    {"SCMP_CMP_NE", SCMP_CMP_NE},
    {"SCMP_CMP_LT", SCMP_CMP_LT},
    {"SCMP_CMP_LE", SCMP_CMP_LE},
    {"SCMP_CMP_EQ", SCMP_CMP_EQ},
    {"SCMP_CMP_GE", SCMP_CMP_GE},
    {"SCMP_CMP_GT", SCMP_CMP_GT},
    {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
};

constexpr std::pair<const char*, std::uint32_t> kArchitectures[] = {
    {"SCMP_ARCH_X86", SCMP_ARCH_X86},
    {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},
    {"SCMP_ARCH_X32", SCMP_ARCH_X32},
    {"SCMP_ARCH_ARM", SCMP_ARCH_ARM},
    {"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64},
    {"SCMP_ARCH_MIPS", SCMP_ARCH_MIPS},
    {"SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64},
    {"SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32},
    {"SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL},
    {"SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64},
    {"SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32},
    {"SCMP_ARCH_PPC", SCMP_ARCH_PPC},
    {"SCMP_ARCH_PPC64", SCMP_ARCH_PPC64},
    {"SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE},
    {"SCMP_ARCH_S390", SCMP_ARCH_S390},
    {"SCMP_ARCH_S390X", SCMP_ARCH_S390X},
    {"SCMP_ARCH_PARISC", SCMP_ARCH_PARISC},
    {"SCMP_ARCH_PARISC64", SCMP_ARCH_PARISC64},
    {"SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64},
};

template <typename Value, std::size_t N>
std::optional<Value> lookup(const std::pair<const char*, Value> (&table)[N], const std::string& name) {
  for (const auto& [key, value] : table) {
    if (name == key) return value;
  }
  return std::nullopt;
}

/// The kernel's value, with the errno (EPERM when none is given) or the trace number in its low half.
Result<std::uint32_t> parse_action(const std::string& name, const std::optional<std::uint32_t>& errno_ret) {
  const auto action = lookup(kActions, name);
  if (!action) return make_error(Errc::invalid, "unknown action \"{}\"", name);
  if (*action != SCMP_ACT_ERRNO(0) && *action != SCMP_ACT_TRACE(0)) return *action;
  const std::uint32_t number = errno_ret.value_or(EPERM);
  if (number > 0xFFFF) return make_error(Errc::invalid, "errnoRet {} is too large", number);
  return *action | number;
}

Result<void> add_rule(scmp_filter_ctx context, const spec::SeccompRule& rule, std::uint32_t default_action) {
  TRY_ASSIGN(const std::uint32_t action, parse_action(rule.action, rule.errno_ret));
  if (action == default_action) return {};
  std::vector<scmp_arg_cmp> comparisons;
  bool same_argument_twice = false;
  for (const auto& arg : rule.args) {
    const auto op = lookup(kOperators, arg.op);
    if (!op) return make_error(Errc::invalid, "unknown operator \"{}\"", arg.op);
    if (arg.index > 5) return make_error(Errc::invalid, "system calls have no argument {}", arg.index);
    for (const auto& other : comparisons) same_argument_twice = same_argument_twice || other.arg == arg.index;
    comparisons.push_back({arg.index, *op, arg.value, arg.value_two});
  }
  for (const auto& name : rule.names) {
    const int number = ::seccomp_syscall_resolve_name(name.c_str());
    if (number == __NR_SCMP_ERROR) continue;  // of another architecture, or newer than our libseccomp
    // libseccomp takes one comparison per argument; several on the same one become alternatives, as runc has it.
    if (same_argument_twice) {
      for (const auto& comparison : comparisons) {
        const int code = ::seccomp_rule_add_array(context, action, number, 1, &comparison);
        if (code < 0 && code != -EEXIST) return os_error_from(-code, fmt::format("rule for \"{}\"", name));
      }
      continue;
    }
    const int code = ::seccomp_rule_add_array(context, action, number, static_cast<unsigned>(comparisons.size()),
                                              comparisons.data());
    if (code < 0 && code != -EEXIST) return os_error_from(-code, fmt::format("rule for \"{}\"", name));
  }
  return {};
}

Result<std::string> compile_program(const spec::Seccomp& seccomp) {
  TRY_ASSIGN(const std::uint32_t default_action, parse_action(seccomp.default_action, seccomp.default_errno_ret));
  const Context context{::seccomp_init(default_action), &::seccomp_release};
  if (!context) return make_error(Errc::failed, "libseccomp refused the default action");
  ::seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_NNP, 0);
  ::seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  for (const auto& name : seccomp.architectures) {
    const auto arch = architecture_of(name);
    if (!arch) return make_error(Errc::invalid, "unknown architecture \"{}\"", name);
    const int code = ::seccomp_arch_add(context.get(), *arch);
    if (code < 0 && code != -EEXIST) return os_error_from(-code, fmt::format("architecture \"{}\"", name));
  }
  for (std::size_t i = 0; i < seccomp.syscalls.size(); ++i) {
    TRY(add_rule(context.get(), seccomp.syscalls[i], default_action).with("syscalls[{}]", i));
  }
  const UniqueFd file{::memfd_create("seccomp", MFD_CLOEXEC)};
  if (!file.valid()) return os_error("memfd_create");
  if (const int code = ::seccomp_export_bpf(context.get(), file.get()); code < 0) {
    return os_error_from(-code, "export the filter");
  }
  ::lseek(file.get(), 0, SEEK_SET);
  TRY_ASSIGN(const std::string filter, sys::read_all(file.get()));
  return refuse_unknown_calls(seccomp, default_action) + filter;
}

Result<std::uint32_t> parse_flags(const spec::Seccomp& seccomp) {
  std::uint32_t flags = 0;
  for (const auto& name : seccomp.flags) {
    if (name == "SECCOMP_FILTER_FLAG_LOG") {
      flags |= SECCOMP_FILTER_FLAG_LOG;
    } else if (name == "SECCOMP_FILTER_FLAG_SPEC_ALLOW") {
      flags |= SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    } else if (name == "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV") {
      flags |= SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    } else if (name != "SECCOMP_FILTER_FLAG_TSYNC") {  // one thread: nothing to synchronise
      return make_error(Errc::invalid, "unknown flag \"{}\"", name);
    }
  }
  bool notifies = seccomp.default_action == "SCMP_ACT_NOTIFY";
  for (const auto& rule : seccomp.syscalls) notifies = notifies || rule.action == "SCMP_ACT_NOTIFY";
  if (notifies && seccomp.listener_path.empty()) {
    return make_error(Errc::invalid, "SCMP_ACT_NOTIFY needs a listenerPath");
  }
  if (notifies) flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
  return flags;
}

std::string cache_key(const spec::Seccomp& seccomp) {
  const scmp_version* version = ::seccomp_version();
  codec::Encoder encoder;
  encoder("libseccomp",
          fmt::format("{}.{}.{} {}", version->major, version->minor, version->micro, ::seccomp_arch_native()));
  encoder("unknown calls", true);
  encoder("action", seccomp.default_action);
  encoder("errno", seccomp.default_errno_ret);
  encoder("architectures", seccomp.architectures);
  encoder("syscalls", seccomp.syscalls);
  return sha256_hex(std::move(encoder).take());
}

}  // namespace

Result<Filter> compile_seccomp(const spec::Seccomp& seccomp, const std::string& cache_dir) {
  Filter filter;
  auto flags = parse_flags(seccomp).with("linux.seccomp");
  TRY(flags);
  filter.flags = *flags;
  const std::string cached = cache_dir.empty() ? std::string{} : cache_dir + "/" + cache_key(seccomp) + ".bpf";
  if (!cached.empty()) {
    if (auto program = sys::read_file(cached, 1 << 20); program && !program->empty() && program->size() % 8 == 0) {
      filter.program = std::move(*program);
      return filter;
    }
  }
  auto program = compile_program(seccomp).with("linux.seccomp");
  TRY(program);
  filter.program = std::move(*program);
  if (!cached.empty()) {
    TRY(sys::make_directories(cache_dir, 0700));
    TRY(sys::write_file_atomic(cached, filter.program, 0600));
  }
  return filter;
}

std::optional<std::uint32_t> architecture_of(const std::string& name) { return lookup(kArchitectures, name); }

std::vector<std::string> seccomp_actions() {
  std::vector<std::string> names;
  for (const auto& [name, value] : kActions) names.emplace_back(name);
  return names;
}

std::vector<std::string> seccomp_architectures() {
  std::vector<std::string> names;
  for (const auto& [name, value] : kArchitectures) names.emplace_back(name);
  return names;
}

}  // namespace compose::runtime::security

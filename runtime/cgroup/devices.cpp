#include "runtime/cgroup/devices.hpp"

#include <linux/bpf.h>

#include <algorithm>

namespace compose::runtime::cgroup {
namespace {

constexpr unsigned kAll = DeviceAccess::kMknod | DeviceAccess::kRead | DeviceAccess::kWrite;

Result<unsigned> parse_access(const std::string& text) {
  if (text.empty()) return kAll;
  unsigned access = 0;
  for (const char c : text) {
    if (c == 'r') {
      access |= DeviceAccess::kRead;
    } else if (c == 'w') {
      access |= DeviceAccess::kWrite;
    } else if (c == 'm') {
      access |= DeviceAccess::kMknod;
    } else {
      return make_error(Errc::invalid, "access \"{}\": only r, w and m are known", text);
    }
  }
  return access;
}

std::string number(std::int64_t value) { return value == DeviceAccess::kAny ? "*" : std::to_string(value); }

/// Writes the few instructions a device program needs.
class Assembler {
 public:
  void load_word(int to, int from, int offset) { put(BPF_LDX | BPF_MEM | BPF_W, to, from, offset, 0); }
  void move(int to, int from) { put(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0); }
  void set(int to, int value) { put(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value); }
  void bit_and(int to, int value) { put(BPF_ALU64 | BPF_AND | BPF_K, to, 0, 0, value); }
  void shift_right(int to, int value) { put(BPF_ALU64 | BPF_RSH | BPF_K, to, 0, 0, value); }
  void exit() { put(BPF_JMP | BPF_EXIT, 0, 0, 0, 0); }
  /// Jumps whose target is fixed by land().
  void unless_equal(int left, std::int64_t value) { jump(BPF_JNE | BPF_K, left, 0, static_cast<int>(value)); }
  void unless_same(int left, int right) { jump(BPF_JNE | BPF_X, left, right, 0); }
  void if_zero(int left) { jump(BPF_JEQ | BPF_K, left, 0, 0); }
  void land() {
    for (const std::size_t at : open_) code_[at].off = static_cast<short>(code_.size() - at - 1);
    open_.clear();
  }
  std::string bytes() const {
    return {reinterpret_cast<const char*>(code_.data()), code_.size() * sizeof(bpf_insn)};  // NOLINT: kernel format
  }

 private:
  void jump(int op, int left, int right, int value) {
    open_.push_back(code_.size());
    put(BPF_JMP | op, left, right, 0, value);
  }
  void put(int op, int to, int from, int offset, int value) {
    bpf_insn instruction{};
    instruction.code = static_cast<unsigned char>(op);
    instruction.dst_reg = static_cast<unsigned char>(to) & 0xF;
    instruction.src_reg = static_cast<unsigned char>(from) & 0xF;
    instruction.off = static_cast<short>(offset);
    instruction.imm = value;
    code_.push_back(instruction);
  }
  std::vector<bpf_insn> code_;
  std::vector<std::size_t> open_;
};

}  // namespace

Result<DeviceAccess> DeviceAccess::from_rules(std::span<const spec::DeviceRule> rules) {
  DeviceAccess state;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const auto& rule = rules[i];
    auto access = parse_access(rule.access).with("linux.resources.devices[{}]", i);
    TRY(access);
    // -1 is Docker's and podman's way to write "any".
    const std::int64_t major = rule.major.value_or(kAny);
    const std::int64_t minor = rule.minor.value_or(kAny);
    if (major < kAny || minor < kAny) {
      return make_error(Errc::invalid, "linux.resources.devices[{}]: a negative device number", i);
    }
    if (rule.type == "c" || rule.type == "u") {
      state.apply(rule.allow, 'c', major, minor, *access);
    } else if (rule.type == "b") {
      state.apply(rule.allow, 'b', major, minor, *access);
    } else if (!rule.type.empty() && rule.type != "a") {
      return make_error(Errc::invalid, "linux.resources.devices[{}]: unknown type \"{}\"", i, rule.type);
    } else if (major == kAny && minor == kAny) {
      state.allow_by_default_ = rule.allow;  // "a" sets the default, whatever its access says
      state.exceptions_.clear();
    } else {
      state.apply(rule.allow, 'c', major, minor, *access);
      state.apply(rule.allow, 'b', major, minor, *access);
    }
  }
  return state;
}

void DeviceAccess::apply(bool allow, char type, std::int64_t major, std::int64_t minor, unsigned access) {
  const Key key{type, major, minor};
  const auto found = std::ranges::find(exceptions_, key, &std::pair<Key, unsigned>::first);
  if (allow == allow_by_default_) {
    if (found == exceptions_.end()) return;
    found->second &= ~access;
    if (found->second == 0) exceptions_.erase(found);
  } else if (found == exceptions_.end()) {
    exceptions_.emplace_back(key, access);
  } else {
    found->second |= access;
  }
}

void DeviceAccess::add_defaults() {
  apply(true, 'c', kAny, kAny, kMknod);
  apply(true, 'b', kAny, kAny, kMknod);
  for (const std::int64_t minor : {3, 5, 7, 8, 9}) apply(true, 'c', 1, minor, kAll);
  for (const std::int64_t minor : {0, 2}) apply(true, 'c', 5, minor, kAll);
  apply(true, 'c', 136, kAny, kAll);
}

std::vector<std::pair<std::string, std::string>> DeviceAccess::v1_writes() const {
  std::vector<std::pair<std::string, std::string>> writes;
  writes.emplace_back(allow_by_default_ ? "devices.allow" : "devices.deny", "a");
  for (const auto& [key, access] : exceptions_) {
    const auto& [type, major, minor] = key;
    std::string value = fmt::format("{} {}:{} ", type, number(major), number(minor));
    if (access & kRead) value += 'r';
    if (access & kWrite) value += 'w';
    if (access & kMknod) value += 'm';
    writes.emplace_back(allow_by_default_ ? "devices.deny" : "devices.allow", std::move(value));
  }
  return writes;
}

std::string DeviceAccess::v2_program() const {
  if (allow_by_default_ && exceptions_.empty()) return {};
  enum { result, scratch, type, access, major, minor };
  Assembler code;
  // r1 points to struct bpf_cgroup_dev_ctx {access << 16 | type, major, minor}.
  code.load_word(type, scratch, 0);
  code.move(access, type);
  code.bit_and(type, 0xFFFF);
  code.shift_right(access, 16);
  code.load_word(major, scratch, 4);
  code.load_word(minor, scratch, 8);
  for (const auto& [key, bits] : exceptions_) {
    const auto& [key_type, key_major, key_minor] = key;
    code.unless_equal(type, key_type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
    if (bits != kAll) {
      code.move(scratch, access);
      code.bit_and(scratch, static_cast<int>(bits));
      // A permission must cover all that is asked; a prohibition strikes when it covers any of it.
      if (allow_by_default_) {
        code.if_zero(scratch);
      } else {
        code.unless_same(scratch, access);
      }
    }
    if (key_major != kAny) code.unless_equal(major, key_major);
    if (key_minor != kAny) code.unless_equal(minor, key_minor);
    code.set(result, allow_by_default_ ? 0 : 1);
    code.exit();
    code.land();
  }
  code.set(result, allow_by_default_ ? 1 : 0);
  code.exit();
  return code.bytes();
}

}  // namespace compose::runtime::cgroup

#pragma once
// Device rules: the meaning of the specification's ordered list, as the v1 controller defines it
// (Documentation/admin-guide/cgroup-v1/devices.rst), and its translations for both versions.
#include <cstdint>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "runtime/spec/spec.hpp"

namespace compose::runtime::cgroup {

/// A default and its exceptions.
class DeviceAccess {
 public:
  static constexpr std::int64_t kAny = -1;
  static constexpr unsigned kMknod = 1, kRead = 2, kWrite = 4;  // BPF_DEVCG_ACC_*
  /// {type 'b' or 'c', major or kAny, minor or kAny}
  using Key = std::tuple<char, std::int64_t, std::int64_t>;

  /// Starts with everything denied; rules are applied in order. Errc::invalid names the rule's index.
  static Result<DeviceAccess> from_rules(std::span<const spec::DeviceRule> rules);
  /// Every container may use these whatever the rules say: mknod of anything (nodes are useless without access),
  /// null zero full random urandom tty, ptmx and pseudo-terminals.
  void add_defaults();

  bool allow_by_default() const { return allow_by_default_; }
  /// In the order in which the rules first named them.
  const std::vector<std::pair<Key, unsigned>>& exceptions() const { return exceptions_; }

  /// {file, value} writes of the v1 controller, in order.
  std::vector<std::pair<std::string, std::string>> v1_writes() const;
  /// A BPF_PROG_TYPE_CGROUP_DEVICE program (struct bpf_insn[]); empty when nothing is denied.
  std::string v2_program() const;

 private:
  void apply(bool allow, char type, std::int64_t major, std::int64_t minor, unsigned access);
  bool allow_by_default_ = false;
  std::vector<std::pair<Key, unsigned>> exceptions_;
};

}  // namespace compose::runtime::cgroup

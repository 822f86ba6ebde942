#include "runtime/rootfs/mount_options.hpp"

#include <sys/mount.h>

#include <string_view>

namespace compose::runtime::rootfs {
namespace {

struct Attribute {
  std::string_view word;
  std::uint64_t set, clear;
};

// The access time is one field of four values, so choosing one clears it first (mount_setattr(2)).
constexpr Attribute kAttributes[] = {
    {"ro", MOUNT_ATTR_RDONLY, 0},
    {"rw", 0, MOUNT_ATTR_RDONLY},
    {"nosuid", MOUNT_ATTR_NOSUID, 0},
    {"suid", 0, MOUNT_ATTR_NOSUID},
    {"nodev", MOUNT_ATTR_NODEV, 0},
    {"dev", 0, MOUNT_ATTR_NODEV},
    {"noexec", MOUNT_ATTR_NOEXEC, 0},
    {"exec", 0, MOUNT_ATTR_NOEXEC},
    {"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0},
    {"symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW},
    {"nodiratime", MOUNT_ATTR_NODIRATIME, 0},
    {"diratime", 0, MOUNT_ATTR_NODIRATIME},
    {"relatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"norelatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    {"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
    {"atime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    {"nostrictatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
};

constexpr Attribute kSuperblock[] = {
    {"sync", MS_SYNCHRONOUS, 0},
    {"async", 0, MS_SYNCHRONOUS},
    {"dirsync", MS_DIRSYNC, 0},
    {"mand", MS_MANDLOCK, 0},
    {"nomand", 0, MS_MANDLOCK},
    {"lazytime", MS_LAZYTIME, 0},
    {"nolazytime", 0, MS_LAZYTIME},
    {"iversion", 0, 0},
    {"noiversion", 0, 0},
    {"silent", 0, 0},
    {"loud", 0, 0},
    {"defaults", 0, 0},
};

constexpr Attribute kPropagation[] = {
    {"private", MS_PRIVATE, 0},
    {"shared", MS_SHARED, 0},
    {"slave", MS_SLAVE, 0},
    {"unbindable", MS_UNBINDABLE, 0},
};

void merge(std::uint64_t& set, std::uint64_t& clear, const Attribute& attribute) {
  set = (set & ~attribute.clear) | attribute.set;
  clear = (clear & ~attribute.set) | attribute.clear;
}

template <std::size_t N>
const Attribute* find(const Attribute (&table)[N], std::string_view word) {
  for (const auto& entry : table) {
    if (entry.word == word) return &entry;
  }
  return nullptr;
}

void parse_word(const std::string& word, MountOptions& result) {
  const std::string_view stripped = word.starts_with('r') ? std::string_view{word}.substr(1) : std::string_view{};
  if (const auto* attribute = find(kAttributes, word)) {
    merge(result.attr_set, result.attr_clear, *attribute);
  } else if (const auto* flag = find(kSuperblock, word)) {
    result.superblock_flags = (result.superblock_flags & ~flag->clear) | flag->set;
  } else if (const std::uint64_t flags = propagation_flags(word); flags != 0) {
    result.propagation = flags;
  } else if (word == "bind" || word == "rbind") {
    result.bind = true;
    result.recursive = word == "rbind";
  } else if (word == "remount") {
    result.remount = true;
  } else if (word == "tmpcopyup") {
    result.copy_up = true;
  } else if (word == "idmap" || word == "ridmap") {
    result.id_map = true;
    result.recursive_id_map = word == "ridmap";
  } else if (const auto* recursive = find(kAttributes, stripped)) {
    merge(result.recursive_attr_set, result.recursive_attr_clear, *recursive);
  } else if (!word.empty()) {
    if (!result.data.empty()) result.data += ',';
    result.data += word;
  }
}

}  // namespace

std::uint64_t propagation_flags(const std::string& word) {
  if (const auto* single = find(kPropagation, word)) return single->set;
  if (!word.starts_with('r')) return 0;
  const auto* whole = find(kPropagation, std::string_view{word}.substr(1));
  return whole == nullptr ? 0 : whole->set | MS_REC;
}

MountOptions parse_mount_options(const std::vector<std::string>& options) {
  MountOptions result;
  for (const auto& word : options) parse_word(word, result);
  return result;
}

std::vector<std::string> known_mount_options() {
  std::vector<std::string> words{"bind", "rbind", "remount", "tmpcopyup", "idmap", "ridmap"};
  for (const auto& entry : kAttributes) {
    words.emplace_back(entry.word);
    words.push_back("r" + std::string{entry.word});
  }
  for (const auto& entry : kSuperblock) words.emplace_back(entry.word);
  for (const auto& entry : kPropagation) {
    words.emplace_back(entry.word);
    words.push_back("r" + std::string{entry.word});
  }
  return words;
}

}  // namespace compose::runtime::rootfs

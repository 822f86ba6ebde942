#include "container/id_range.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <functional>

#include "base/strings.hpp"
#include "sys/file.hpp"

namespace compose::container {
namespace {

constexpr std::uint32_t kFirst = 0x70000000, kSize = 65536, kRanges = 4096;

std::string folder_of(const state::Paths& paths) { return paths.root() + "/userns"; }
std::string claim_path(const state::Paths& paths, std::uint32_t number) {
  return fmt::format("{}/{}", folder_of(paths), number);
}

/// Held until the descriptor is closed; the folder itself is what is locked, so that nothing but claims lies in it.
Result<UniqueFd> lock_claims(const state::Paths& paths) {
  UniqueFd folder{::open(folder_of(paths).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!folder.valid()) return os_error("open \"{}\"", folder_of(paths));
  if (retry_eintr([&] { return ::flock(folder.get(), LOCK_EX); }) != 0)
    return os_error("lock \"{}\"", folder_of(paths));
  return folder;
}

}  // namespace

Result<UserNamespaceMode> parse_userns_mode(const std::string& text) {
  UserNamespaceMode mode;
  if (text.empty() || text == "host") return mode;
  mode.own_ids = true;
  if (text == "auto") return mode;
  const auto colon = text.find(':');
  const auto first = parse_unsigned(text.substr(0, colon));
  const auto size = colon == std::string::npos ? std::nullopt : parse_unsigned(text.substr(colon + 1));
  if (!first || !size) {
    return make_error(Errc::invalid, "userns_mode: \"{}\" is none of host, auto and FIRST:SIZE (100000:65536)", text);
  }
  constexpr std::uint64_t kEnd = 0xFFFFFFFF;  // (uid_t)-1 is no id
  if (*first == 0 || *size == 0 || *first >= kEnd || *size > kEnd - *first) {
    return make_error(Errc::invalid, "userns_mode: {} ids from {} on are no range without the host's root", *size,
                      *first);
  }
  mode.given = IdRange{static_cast<std::uint32_t>(*first), static_cast<std::uint32_t>(*size)};
  return mode;
}

Result<IdRange> claim_ids(const state::Paths& paths, const std::string& container_directory) {
  TRY(sys::make_directories(folder_of(paths), 0700));
  TRY_ASSIGN(const UniqueFd lock, lock_claims(paths));
  const auto start = static_cast<std::uint32_t>(std::hash<std::string>{}(container_directory) % kRanges);
  for (std::uint32_t i = 0; i < kRanges; ++i) {
    const std::uint32_t number = (start + i) % kRanges;
    const auto owner = sys::read_file(claim_path(paths, number));
    if (owner && *owner != container_directory && sys::exists(*owner)) continue;
    TRY(sys::write_file_atomic(claim_path(paths, number), container_directory, 0600));
    return IdRange{kFirst + number * kSize, kSize};
  }
  return make_error(Errc::busy, "userns_mode: all {} ranges of ids are taken", kRanges);
}

Result<void> release_ids(const state::Paths& paths, const std::string& container_directory) {
  if (!sys::exists(folder_of(paths))) return {};
  TRY_ASSIGN(const UniqueFd lock, lock_claims(paths));
  TRY_ASSIGN(const auto names, sys::list_directory(folder_of(paths)));
  for (const auto& name : names) {
    const std::string path = folder_of(paths) + "/" + name;
    const auto owner = sys::read_file(path);
    if (owner && *owner == container_directory && ::unlink(path.c_str()) != 0) return os_error("remove \"{}\"", path);
  }
  return {};
}

}  // namespace compose::container

#include "build/content_hashes.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <ctime>
#include <vector>

#include "base/sha256.hpp"
#include "base/strings.hpp"
#include "base/unique_fd.hpp"
#include "sys/file.hpp"

namespace compose::build {

namespace {

constexpr std::string_view kMagic = "compose content hashes 1\n";
constexpr std::size_t kDigestText = 64;
constexpr std::size_t kRecord = 7 * 8 + 32;
constexpr std::size_t kMaxFile = std::size_t{256} << 20;
constexpr std::size_t kBuffer = std::size_t{256} << 10;
constexpr std::int64_t kSettled = 2;  // seconds
constexpr std::size_t kUnusedKept = 10'000;

int digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c - 'a' + 10; }

bool settled(const struct stat& status, std::int64_t now) {
  return now - status.st_mtim.tv_sec > kSettled && now - status.st_ctim.tv_sec > kSettled;
}

}  // namespace

ContentHashes::ContentHashes(std::string file) : file_{std::move(file)} { load(); }

ContentHashes::Key ContentHashes::key_of(const struct stat& status) {
  return {status.st_dev,
          status.st_ino,
          static_cast<std::uint64_t>(status.st_size),
          static_cast<std::uint64_t>(status.st_mtim.tv_sec),
          static_cast<std::uint64_t>(status.st_mtim.tv_nsec),
          static_cast<std::uint64_t>(status.st_ctim.tv_sec),
          static_cast<std::uint64_t>(status.st_ctim.tv_nsec)};
}

void ContentHashes::load() {
  const Result<std::string> text = sys::read_file(file_, kMaxFile);
  if (!text || !text->starts_with(kMagic)) return;
  const std::string_view rest = std::string_view{*text}.substr(kMagic.size());
  if (rest.size() < kDigestText) return;
  const std::string_view records = rest.substr(kDigestText);
  if (records.size() % kRecord != 0 || sha256_hex(records) != rest.substr(0, kDigestText)) return;
  for (std::size_t at = 0; at < records.size(); at += kRecord) {
    Key key{};
    Entry entry;
    std::memcpy(key.data(), records.data() + at, sizeof key);
    std::memcpy(entry.digest.data(), records.data() + at + sizeof key, entry.digest.size());
    entries_.emplace_hint(entries_.end(), key, entry);
  }
}

Result<std::string> ContentHashes::digest(const std::string& path, const struct stat& status) {
  const Key key = key_of(status);
  {
    const std::lock_guard lock{mutex_};
    if (const auto found = entries_.find(key); found != entries_.end()) {
      found->second.used = true;
      return to_hex(found->second.digest);
    }
    ++files_read_;
  }
  const std::int64_t now = ::time(nullptr);
  const UniqueFd fd{::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
  if (!fd.valid()) return os_error("open \"{}\"", path);
  Sha256 hash;
  std::vector<char> buffer(kBuffer);
  while (true) {
    const ssize_t got = retry_eintr([&] { return ::read(fd.get(), buffer.data(), buffer.size()); });
    if (got < 0) return os_error("read \"{}\"", path);
    if (got == 0) break;
    hash.update(buffer.data(), static_cast<std::size_t>(got));
  }
  const std::string hex = hash.finish_hex();
  struct stat after {};
  if (::fstat(fd.get(), &after) != 0) return os_error("stat \"{}\"", path);
  if (key_of(after) != key || !settled(after, now)) return hex;
  Entry entry;
  entry.used = true;
  for (std::size_t i = 0; i < entry.digest.size(); ++i)
    entry.digest[i] = static_cast<unsigned char>(digit(hex[2 * i]) * 16 + digit(hex[2 * i + 1]));
  const std::lock_guard lock{mutex_};
  entries_[key] = entry;
  changed_ = true;
  return hex;
}

Result<void> ContentHashes::save() {
  const std::lock_guard lock{mutex_};
  if (!changed_) return {};
  std::size_t unused = 0;
  for (const auto& [key, entry] : entries_) unused += entry.used ? 0 : 1;
  const bool keep_unused = unused <= entries_.size() - unused + kUnusedKept;
  std::string records;
  for (const auto& [key, entry] : entries_) {
    if (!entry.used && !keep_unused) continue;
    records.append(reinterpret_cast<const char*>(key.data()), sizeof key);
    records.append(reinterpret_cast<const char*>(entry.digest.data()), entry.digest.size());
  }
  changed_ = false;
  return sys::write_file_atomic(file_, fmt::format("{}{}{}", kMagic, sha256_hex(records), records), 0600);
}

}  // namespace compose::build

#include "build/step_cache.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include "base/sha256.hpp"
#include "image/digest.hpp"
#include "image/json_values.hpp"
#include "sys/file.hpp"

namespace compose::build {

StepCache::StepCache(const image::Store::Internal& store) : store_{store}, folder_{store.root + "/build"} {}

Result<void> StepCache::make_folders() const {
  if (sys::exists(folder_ + "/hashes")) return {};
  for (const char* name : {"", "/steps", "/locks", "/cache", "/hashes"})
    TRY(sys::make_directories(folder_ + name, 0700));
  return {};
}

Result<std::optional<StepResult>> StepCache::find(const std::string& key) const {
  const std::string path = folder_ + "/steps/" + key + ".json";
  Result<std::string> text = sys::read_file(path);
  if (!text) {
    if (text.error().code() == Errc::not_found) return std::optional<StepResult>{};
    return std::move(text).error();
  }
  const nlohmann::json document = nlohmann::json::parse(*text, nullptr, false);
  // A power cut can leave an empty file; an entry that says nothing must not become a step without layers.
  if (image::json_text(document, "created").empty()) return std::optional<StepResult>{};
  StepResult result{image::json_texts(document, "chain"), false, image::json_text(document, "created")};
  const nlohmann::json* empty = image::json_member(document, "empty");
  result.empty = empty && empty->is_boolean() && empty->get<bool>();
  std::string chain;
  for (const std::string& diff_id : result.chain) chain = image::chain_id(chain, diff_id);
  if (!chain.empty()) {
    if (!image::is_digest(chain)) return std::optional<StepResult>{};
    TRY_ASSIGN(const std::optional<image::Layer> top, store_.layer(chain));
    if (!top) return std::optional<StepResult>{};
  }
  return std::optional{std::move(result)};
}

Result<void> StepCache::remember(const std::string& key, const StepResult& result) const {
  const nlohmann::json document = {{"chain", result.chain}, {"empty", result.empty}, {"created", result.created}};
  return sys::write_file_atomic(folder_ + "/steps/" + key + ".json", document.dump() + "\n", 0600);
}

std::string StepCache::lock_path(const std::string& name) const { return folder_ + "/locks/" + name; }

Result<sys::FileLock> StepCache::lock(const std::string& key) const {
  const std::string path = lock_path(key);
  while (true) {
    TRY_ASSIGN(sys::FileLock lock, sys::FileLock::acquire(path));
    struct stat ours {};
    struct stat there {};
    // The one before us may have removed the file while we waited.
    if (::fstat(lock.fd(), &ours) == 0 && ::stat(path.c_str(), &there) == 0 && ours.st_ino == there.st_ino) return lock;
  }
}

void StepCache::unlock(const std::string& key, sys::FileLock lock) const {
  ::unlink(lock_path(key).c_str());
  const sys::FileLock released = std::move(lock);
}

void StepCache::sweep_locks() const {
  const Result<std::vector<std::string>> names = sys::list_directory(folder_ + "/locks");
  if (!names) return;
  for (const std::string& name : *names) {
    // Those of cache mounts stay: who waits for one does not look whether it is still the same file.
    if (name.starts_with("cache-")) continue;
    Result<std::optional<sys::FileLock>> held = sys::FileLock::try_acquire(lock_path(name));
    if (held && *held) unlock(name, std::move(**held));
  }
}

Result<StepCache::MountFolder> StepCache::mount_folder(const std::string& id) const {
  const std::string path = folder_ + "/cache/" + sha256_hex(id);
  if (::mkdir(path.c_str(), 0755) == 0) return MountFolder{path, true};
  if (errno == EEXIST) return MountFolder{path, false};
  return os_error("make directory \"{}\"", path);
}

KeyBuilder& KeyBuilder::add(std::string_view text) {
  parts_ += fmt::format("{}:{}", text.size(), text);
  return *this;
}

KeyBuilder& KeyBuilder::add(const std::vector<std::string>& texts) {
  parts_ += fmt::format("[{}]", texts.size());
  for (const std::string& text : texts) add(text);
  return *this;
}

std::string KeyBuilder::digest() const { return sha256_hex(parts_); }

}  // namespace compose::build

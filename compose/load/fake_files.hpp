#pragma once
// A FileSource for tests: files that exist in memory only.
#include <map>
#include <string>

#include "compose/load/file_source.hpp"

namespace compose::load {

class FakeFiles final : public FileSource {
 public:
  FakeFiles() = default;
  FakeFiles(std::initializer_list<std::pair<const std::string, std::string>> files) : files_{files} {}

  void set(const std::string& path, std::string text) { files_.insert_or_assign(path, std::move(text)); }

  Result<std::string> read(const std::string& path) override {
    const auto found = files_.find(path);
    if (found == files_.end()) return make_error(Errc::not_found, "open {}: no such file or directory", path);
    return found->second;
  }
  FileKind kind(const std::string& path) override { return files_.contains(path) ? FileKind::file : FileKind::missing; }
  std::string real_path(const std::string& path) override { return path; }

 private:
  std::map<std::string, std::string> files_;
};

}  // namespace compose::load

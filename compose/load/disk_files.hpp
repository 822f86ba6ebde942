#pragma once
// The FileSource of programs: the disk and standard input.
#include "compose/load/file_source.hpp"

namespace compose::load {

class DiskFiles final : public FileSource {
 public:
  Result<std::string> read(const std::string& path) override;
  FileKind kind(const std::string& path) override;
  std::string real_path(const std::string& path) override;

 private:
  bool stdin_read_ = false;
  std::string stdin_;
};

}  // namespace compose::load

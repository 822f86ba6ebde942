#pragma once
// write_file_atomic in two steps: first all that can fail for want of room, and when it is time the rename.
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "sys/file.hpp"

namespace compose::sys {

/// The new content of a file beside it. Unless it is committed it goes with this object.
class StagedFile {
 public:
  static Result<StagedFile> write(const std::string& path, std::string_view data, mode_t mode = 0644,
                                  Durability durability = Durability::atomic);
  StagedFile(StagedFile&& other) noexcept;
  StagedFile& operator=(StagedFile&& other) noexcept;
  ~StagedFile();
  Result<void> commit();

 private:
  StagedFile(std::string path, std::string temporary, Durability durability);
  std::string path_;
  std::string temporary_;  ///< "" = none any more
  Durability durability_;
};

}  // namespace compose::sys

#pragma once
// The loader's only window to the outside: it asks for files by absolute path and never touches the system itself.
#include <string>

#include "base/error.hpp"

namespace compose::load {

enum class FileKind { missing, file, directory, other };

class FileSource {
 public:
  virtual ~FileSource() = default;
  /// The content of a file; "-" is standard input. Errc::not_found when there is none, other codes as they come.
  virtual Result<std::string> read(const std::string& path) = 0;
  virtual FileKind kind(const std::string& path) = 0;
  /// The path with its symbolic links resolved, or the path itself when that is not possible.
  virtual std::string real_path(const std::string& path) = 0;
};

}  // namespace compose::load

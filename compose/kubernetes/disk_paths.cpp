#include "compose/kubernetes/disk_paths.hpp"

#include <filesystem>
#include <fstream>

namespace compose::kubernetes {
namespace {

namespace fs = std::filesystem;

// At most kMostBytes of a file; nothing when it cannot be read or is larger.
std::optional<std::string> content_of(const fs::path& path) {
  std::ifstream in{path, std::ios::binary};
  if (!in) return std::nullopt;
  std::string text(kMostBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > kMostBytes) return std::nullopt;
  return text;
}

void read_folder(const fs::path& folder, HostPath& out) {
  std::error_code error;
  std::size_t bytes = 0;
  for (fs::recursive_directory_iterator at{folder, fs::directory_options::skip_permission_denied, error}, end;
       !error && at != end; at.increment(error)) {
    std::error_code status_error;
    if (!fs::is_regular_file(at->symlink_status(status_error)) || status_error) continue;
    const auto content = content_of(at->path());
    if (content) bytes += content->size();
    if (!content || bytes > kMostBytes || out.files.size() == kMostFiles) {
      out.too_large = true;
      out.files.clear();
      return;
    }
    out.files[at->path().lexically_relative(folder).string()] = *content;
  }
}

}  // namespace

std::map<std::string, HostPath> read_paths(const Strings& paths) {
  std::map<std::string, HostPath> all;
  for (const std::string& path : paths) {
    HostPath& known = all[path];
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (status.type() == fs::file_type::regular) {
      known.kind = HostPath::Kind::file;
      known.content = content_of(path);
      known.too_large = !known.content && fs::file_size(path, error) > kMostBytes;
    } else if (status.type() == fs::file_type::directory) {
      known.kind = HostPath::Kind::directory;
      read_folder(path, known);
    } else if (status.type() != fs::file_type::not_found && status.type() != fs::file_type::none) {
      known.kind = HostPath::Kind::other;
    }
  }
  return all;
}

}  // namespace compose::kubernetes

#pragma once
// Tars for tests, byte by byte: also ones no tar program would write.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace compose::image::testing {

struct TarItem {
  std::string name{};
  char type = '0';
  std::string content{};
  std::string link{};
  unsigned mode = 0644;
  std::uint64_t uid = 0;
  std::uint64_t gid = 0;
  std::int64_t mtime = 1'600'000'000;
  unsigned major = 0;
  unsigned minor = 0;
  std::map<std::string, std::string> pax{};
};

/// One entry: headers, content, padding.
std::string tar_item(const TarItem& item);
/// A whole archive with its end mark.
std::string tar(const std::vector<TarItem>& items);
/// A header's checksum made right again after its bytes were changed.
void fix_checksum(std::string& archive, std::size_t header);

/// A folder that is removed at the end of the test.
class TempFolder {
 public:
  TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder();
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  /// Writes a file, making its folders.
  std::string write(const std::string& name, const std::string& content, unsigned mode = 0644) const;

 private:
  std::string path_;
};

/// "name type mode uid:gid size/link" of everything below a folder, sorted: two trees are equal if these are.
std::string describe_tree(const std::string& folder);

}  // namespace compose::image::testing

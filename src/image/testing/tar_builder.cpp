#include "image/testing/tar_builder.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <stdexcept>

#include "base/sha256.hpp"
#include "image/merged_view.hpp"
#include "sys/file.hpp"

namespace compose::image::testing {

namespace {

std::string padded(std::string text) {
  text.resize((text.size() + 511) / 512 * 512, '\0');
  return text;
}

std::string header(const TarItem& item, std::uint64_t size) {
  std::string block(512, '\0');
  const auto put = [&](std::size_t at, const std::string& text, std::size_t limit) {
    block.replace(at, std::min(text.size(), limit), text.substr(0, limit));
  };
  put(0, item.name, 100);
  put(100, fmt::format("{:07o}", item.mode), 8);
  put(108, fmt::format("{:07o}", item.uid), 8);
  put(116, fmt::format("{:07o}", item.gid), 8);
  put(124, fmt::format("{:011o}", size), 12);
  put(136, fmt::format("{:011o}", item.mtime), 12);
  block[156] = item.type;
  put(157, item.link, 100);
  block.replace(257, 8, std::string{"ustar\00000", 8});
  put(329, fmt::format("{:07o}", item.major), 8);
  put(337, fmt::format("{:07o}", item.minor), 8);
  fix_checksum(block, 0);
  return block;
}

void describe(const std::string& folder, const std::string& name, std::string& text) {
  const std::string path = name.empty() ? folder : folder + "/" + name;
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) throw std::runtime_error{"stat " + path};
  std::string detail;
  if (S_ISREG(status.st_mode)) detail = sha256_hex(*sys::read_file(path)).substr(0, 8);
  if (S_ISLNK(status.st_mode)) detail = *MergedView{}.read_link({name, path, status});
  if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) {
    detail = fmt::format("{}:{}", major(status.st_rdev), minor(status.st_rdev));
  }
  if (S_ISDIR(status.st_mode) && is_opaque(path)) detail = "opaque";
  if (!name.empty()) {
    text += fmt::format("{} {:o} {}:{} {}\n", name, status.st_mode, status.st_uid, status.st_gid, detail);
  }
  if (!S_ISDIR(status.st_mode)) return;
  const Result<std::vector<std::string>> children = sys::list_directory(path);
  for (const std::string& child : *children) describe(folder, join_path(name, child), text);
}

}  // namespace

void fix_checksum(std::string& archive, std::size_t at) {
  std::memset(archive.data() + at + 148, ' ', 8);
  unsigned sum = 0;
  for (std::size_t i = 0; i < 512; ++i) sum += static_cast<unsigned char>(archive[at + i]);
  archive.replace(at + 148, 7, fmt::format("{:06o}", sum) + '\0');
}

std::string tar_item(const TarItem& item) {
  std::string result;
  if (!item.pax.empty()) {
    std::string records;
    for (const auto& [key, value] : item.pax) {
      const std::size_t body = key.size() + value.size() + 3;
      std::size_t length = body + 1;
      while (body + std::to_string(length).size() != length) ++length;
      records += fmt::format("{} {}={}\n", length, key, value);
    }
    TarItem extended;
    extended.name = "pax";
    extended.type = 'x';
    result = header(extended, records.size()) + padded(records);
  }
  return result + header(item, item.content.size()) + padded(item.content);
}

std::string tar(const std::vector<TarItem>& items) {
  std::string result;
  for (const TarItem& item : items) result += tar_item(item);
  return result + std::string(1024, '\0');
}

TempFolder::TempFolder() {
  std::string pattern = "/tmp/compose-test-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error{"mkdtemp"};
  path_ = pattern;
}

TempFolder::~TempFolder() { (void)sys::remove_tree(path_); }

std::string TempFolder::write(const std::string& name, const std::string& content, unsigned mode) const {
  const std::string path = path_ + "/" + name;
  (void)sys::make_directories(path.substr(0, path.rfind('/')));
  std::ofstream{path, std::ios::binary} << content;
  ::chmod(path.c_str(), mode);
  return path;
}

std::string describe_tree(const std::string& folder) {
  std::string text;
  describe(folder, "", text);
  return text;
}

}  // namespace compose::image::testing

#pragma once
// Reads tar streams as they occur in images: ustar, GNU (long names, old sparse files, base-256 numbers) and pax
// (POSIX.1-2001, with SCHILY.xattr and GNU.sparse records).
//
// A parser of our own, because a layer must be given back byte for byte: an observer sees every byte that is not a
// file's content. It trusts nothing: sizes are bounded before memory is taken, checksums are compared.
#include <sys/types.h>

#include <cstdint>
#include <ctime>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "image/byte_stream.hpp"

namespace compose::image {

struct TarEntry {
  enum class Type { file, hard_link, symbolic_link, character_device, block_device, directory, fifo };
  Type type = Type::file;
  std::string path;         ///< as written: may be absolute, may have ".."
  std::string link_target;  ///< as written
  mode_t mode = 0;          ///< permission bits with setuid, setgid and sticky
  uid_t uid = 0;
  gid_t gid = 0;
  std::uint64_t size = 0;  ///< of the file as it will be; 0 for everything but files
  timespec mtime{};
  unsigned device_major = 0;
  unsigned device_minor = 0;
  std::map<std::string, std::string> xattrs;
  bool sparse = false;
};

/// Bytes of a file's content and where they belong.
struct TarChunk {
  std::uint64_t offset = 0;
  std::string_view bytes;  ///< valid until the next call
};

class TarObserver {
 public:
  virtual ~TarObserver() = default;
  /// Headers, padding, content that was skipped, everything of sparse files, what follows the end mark.
  virtual Result<void> raw(std::string_view bytes) = 0;
};

class TarReader {
 public:
  /// Both must outlive the reader; `observer` may be null.
  explicit TarReader(ByteReader& input, TarObserver* observer = nullptr);

  /// The next entry; content of the one before that was not read is skipped. Nothing at the end mark or at the end of
  /// the input.
  Result<std::optional<TarEntry>> next();
  /// The next piece of the current entry's content; nothing at its end.
  Result<std::optional<TarChunk>> next_chunk();
  /// Reads the rest of the input, behind the end mark.
  Result<void> drain();
  /// Bytes of the stream before the current entry's content.
  std::uint64_t position() const { return consumed_; }

 private:
  struct SparseRange {
    std::uint64_t offset;
    std::uint64_t size;
  };
  struct Overrides;

  Result<bool> fill(std::size_t size);
  Result<void> consume(std::size_t size, bool payload);
  Result<std::optional<std::string>> read_block();
  Result<std::string> read_record(std::uint64_t size);
  Result<void> parse_pax(std::string_view text, Overrides& overrides);
  Result<std::optional<TarEntry>> make_entry(const std::string& block, Overrides& overrides);
  Result<void> apply(const Overrides& overrides, TarEntry& entry, std::uint64_t& stored);
  Result<void> read_gnu_sparse(const std::string& block, TarEntry& entry);
  Result<void> read_pax_sparse_map(TarEntry& entry);
  Result<void> check_sparse(const TarEntry& entry) const;
  Result<void> skip_content();

  ByteReader& input_;
  TarObserver* observer_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::uint64_t consumed_ = 0;
  bool ended_ = false;
  std::uint64_t stored_left_ = 0;  ///< content of the current entry still in the stream
  std::uint64_t padding_ = 0;
  bool sparse_ = false;
  std::vector<SparseRange> ranges_;
  std::size_t range_ = 0;
  std::uint64_t range_done_ = 0;
  std::uint64_t offset_ = 0;
};

}  // namespace compose::image

#pragma once
// Streams of bytes one can put behind each other: file → decompression → hash → read-ahead thread → tar reader.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace compose::image {

class ByteReader {
 public:
  virtual ~ByteReader() = default;
  /// Up to `size` bytes, at least one; 0 at the end.
  virtual Result<std::size_t> read(char* buffer, std::size_t size) = 0;
  /// Moves on without reading, if that is cheaper; returns how many bytes were skipped (0: none, read them).
  virtual Result<std::uint64_t> skip(std::uint64_t size);
};

using ByteReaderPtr = std::unique_ptr<ByteReader>;

/// Reads a descriptor from its current position, at most `limit` bytes.
ByteReaderPtr read_fd(UniqueFd fd, std::uint64_t limit = UINT64_MAX);
/// Reads `size` bytes of a file from `offset` on; the descriptor must outlive the reader, its position does not matter.
ByteReaderPtr read_range(int fd, std::uint64_t offset, std::uint64_t size);
/// Reads bytes in memory, which must outlive the reader.
ByteReaderPtr read_memory(std::string_view bytes);

enum class Compression { none, gzip, zstd, xz, bzip2 };
/// By the magic number at the beginning.
Compression detect_compression(std::string_view first_bytes);

/// Decompresses what gzip, zstd, xz or bzip2 wrote (several members after each other too); bytes in no such format
/// pass as they are. A stream that ends in the middle is Errc::corrupt.
Result<ByteReaderPtr> decompress(ByteReaderPtr input);

/// The digest of everything read through it.
class HashingReader : public ByteReader {
 public:
  explicit HashingReader(ByteReaderPtr input);
  ~HashingReader() override;
  Result<std::size_t> read(char* buffer, std::size_t size) override;
  /// "sha256:…" of what was read; once, at the end.
  std::string digest();
  std::uint64_t size() const { return size_; }

 private:
  struct State;
  std::unique_ptr<State> state_;
  std::uint64_t size_ = 0;
};

/// Reads `input` in a thread of its own, a few megabytes ahead, so that decompression and hashing take one core and
/// the file system work another. The input must outlive it and belongs to the thread until the destructor returns or
/// the end was read.
class ReadAhead : public ByteReader {
 public:
  explicit ReadAhead(ByteReader& input);
  ~ReadAhead() override;
  Result<std::size_t> read(char* buffer, std::size_t size) override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Reads all; Errc::corrupt when there are more than `limit` bytes.
Result<std::string> read_everything(ByteReader& input, std::size_t limit);

}  // namespace compose::image

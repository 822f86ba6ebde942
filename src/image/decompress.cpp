// Decompression by zlib, zstd, lzma and bzip2 behind one loop: each codec only advances an input and an output window.
#include <bzlib.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "image/byte_stream.hpp"

namespace compose::image {

namespace {

constexpr std::size_t kInputSize = std::size_t{256} << 10;
constexpr std::size_t kMagicSize = 6;
/// The longest window a zstd frame may ask for (zstd's own --ultra default): bounds the memory a hostile frame takes.
constexpr int kZstdWindowLog = 27;
constexpr std::uint64_t kXzMemory = std::uint64_t{128} << 20;

struct Windows {
  const char* in;
  std::size_t in_size;
  char* out;
  std::size_t out_size;
};

/// One compression format. `step` moves the windows on and says whether a member (frame, stream) has just ended.
class Codec {
 public:
  virtual ~Codec() = default;
  virtual Result<bool> step(Windows& windows) = 0;
  /// Begins the next member.
  virtual Result<void> restart() = 0;
};

Error damaged(const char* format) { return make_error(Errc::corrupt, "the {} data is damaged", format); }

class Gzip : public Codec {
 public:
  Gzip() { ready_ = ::inflateInit2(&stream_, 15 + 16) == Z_OK; }
  ~Gzip() override { ::inflateEnd(&stream_); }
  Result<bool> step(Windows& windows) override {
    if (!ready_) return damaged("gzip");
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(windows.in));
    stream_.avail_in = static_cast<uInt>(windows.in_size);
    stream_.next_out = reinterpret_cast<Bytef*>(windows.out);
    stream_.avail_out = static_cast<uInt>(windows.out_size);
    const int status = ::inflate(&stream_, Z_NO_FLUSH);
    if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) return damaged("gzip");
    windows.in += windows.in_size - stream_.avail_in;
    windows.in_size = stream_.avail_in;
    windows.out += windows.out_size - stream_.avail_out;
    windows.out_size = stream_.avail_out;
    return status == Z_STREAM_END;
  }
  Result<void> restart() override {
    if (::inflateReset(&stream_) != Z_OK) return damaged("gzip");
    return {};
  }

 private:
  z_stream stream_{};
  bool ready_ = false;
};

class Zstd : public Codec {
 public:
  Zstd() : stream_{::ZSTD_createDStream()} { ::ZSTD_DCtx_setParameter(stream_, ZSTD_d_windowLogMax, kZstdWindowLog); }
  ~Zstd() override { ::ZSTD_freeDStream(stream_); }
  Result<bool> step(Windows& windows) override {
    ZSTD_inBuffer in{windows.in, windows.in_size, 0};
    ZSTD_outBuffer out{windows.out, windows.out_size, 0};
    const std::size_t status = ::ZSTD_decompressStream(stream_, &out, &in);
    if (::ZSTD_isError(status) != 0) return damaged("zstd");
    windows.in += in.pos;
    windows.in_size -= in.pos;
    windows.out += out.pos;
    windows.out_size -= out.pos;
    return status == 0;
  }
  Result<void> restart() override { return {}; }

 private:
  ZSTD_DStream* stream_;
};

class Xz : public Codec {
 public:
  Xz() { ready_ = ::lzma_stream_decoder(&stream_, kXzMemory, 0) == LZMA_OK; }
  ~Xz() override { ::lzma_end(&stream_); }
  Result<bool> step(Windows& windows) override {
    if (!ready_) return damaged("xz");
    stream_.next_in = reinterpret_cast<const std::uint8_t*>(windows.in);
    stream_.avail_in = windows.in_size;
    stream_.next_out = reinterpret_cast<std::uint8_t*>(windows.out);
    stream_.avail_out = windows.out_size;
    const lzma_ret status = ::lzma_code(&stream_, LZMA_RUN);
    if (status != LZMA_OK && status != LZMA_STREAM_END && status != LZMA_BUF_ERROR) return damaged("xz");
    windows.in += windows.in_size - stream_.avail_in;
    windows.in_size = stream_.avail_in;
    windows.out += windows.out_size - stream_.avail_out;
    windows.out_size = stream_.avail_out;
    return status == LZMA_STREAM_END;
  }
  Result<void> restart() override {
    ready_ = ::lzma_stream_decoder(&stream_, kXzMemory, 0) == LZMA_OK;
    if (!ready_) return damaged("xz");
    return {};
  }

 private:
  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool ready_ = false;
};

class Bzip2 : public Codec {
 public:
  Bzip2() { ready_ = ::BZ2_bzDecompressInit(&stream_, 0, 0) == BZ_OK; }
  ~Bzip2() override { ::BZ2_bzDecompressEnd(&stream_); }
  Result<bool> step(Windows& windows) override {
    if (!ready_) return damaged("bzip2");
    stream_.next_in = const_cast<char*>(windows.in);
    stream_.avail_in = static_cast<unsigned>(windows.in_size);
    stream_.next_out = windows.out;
    stream_.avail_out = static_cast<unsigned>(windows.out_size);
    const int status = ::BZ2_bzDecompress(&stream_);
    if (status != BZ_OK && status != BZ_STREAM_END) return damaged("bzip2");
    windows.in += windows.in_size - stream_.avail_in;
    windows.in_size = stream_.avail_in;
    windows.out += windows.out_size - stream_.avail_out;
    windows.out_size = stream_.avail_out;
    return status == BZ_STREAM_END;
  }
  Result<void> restart() override {
    ::BZ2_bzDecompressEnd(&stream_);
    stream_ = bz_stream{};
    ready_ = ::BZ2_bzDecompressInit(&stream_, 0, 0) == BZ_OK;
    if (!ready_) return damaged("bzip2");
    return {};
  }

 private:
  bz_stream stream_{};
  bool ready_ = false;
};

std::unique_ptr<Codec> make_codec(Compression compression) {
  switch (compression) {
    case Compression::gzip:
      return std::make_unique<Gzip>();
    case Compression::zstd:
      return std::make_unique<Zstd>();
    case Compression::xz:
      return std::make_unique<Xz>();
    case Compression::bzip2:
      return std::make_unique<Bzip2>();
    case Compression::none:
      break;
  }
  return nullptr;
}

class DecompressingReader : public ByteReader {
 public:
  DecompressingReader(ByteReaderPtr input, std::string first)
      : input_{std::move(input)}, buffer_(kInputSize), compression_{detect_compression(first)} {
    std::memcpy(buffer_.data(), first.data(), first.size());
    end_ = first.size();
    codec_ = make_codec(compression_);
  }

  Result<std::size_t> read(char* out, std::size_t size) override {
    return codec_ ? decompressed(out, size) : plain(out, size);
  }

 private:
  Result<std::size_t> plain(char* out, std::size_t size) {
    if (begin_ == end_) return input_->read(out, size);
    const std::size_t count = std::min(size, end_ - begin_);
    std::memcpy(out, buffer_.data() + begin_, count);
    begin_ += count;
    return count;
  }

  Result<bool> refill() {
    if (begin_ < end_) return true;
    TRY_ASSIGN(end_, input_->read(buffer_.data(), buffer_.size()));
    begin_ = 0;
    return end_ > 0;
  }

  /// After a member: is there another one of the same format? Anything else (padding of zeros, mostly) is ignored, as
  /// gzip does.
  Result<bool> next_member() {
    TRY_ASSIGN(const bool more, refill());
    if (!more) return false;
    while (end_ - begin_ < kMagicSize) {
      std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
      TRY_ASSIGN(const std::size_t got, input_->read(buffer_.data() + end_, buffer_.size() - end_));
      if (got == 0) break;
      end_ += got;
    }
    if (detect_compression({buffer_.data() + begin_, end_ - begin_}) != compression_) return false;
    TRY(codec_->restart());
    return true;
  }

  Result<std::size_t> decompressed(char* out, std::size_t size) {
    while (!finished_) {
      TRY_ASSIGN(const bool more, refill());
      Windows windows{buffer_.data() + begin_, end_ - begin_, out, size};
      TRY_ASSIGN(const bool member_ended, codec_->step(windows));
      begin_ = end_ - windows.in_size;
      const std::size_t produced = size - windows.out_size;
      if (member_ended) {
        TRY_ASSIGN(const bool another, next_member());
        finished_ = !another;
      } else if (!more && produced == 0) {
        return make_error(Errc::corrupt, "the compressed data ends in the middle");
      }
      if (produced > 0) return produced;
    }
    return std::size_t{0};
  }

  ByteReaderPtr input_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  Compression compression_;
  std::unique_ptr<Codec> codec_;
  bool finished_ = false;
};

}  // namespace

Compression detect_compression(std::string_view first_bytes) {
  using namespace std::string_view_literals;
  if (first_bytes.starts_with("\x1f\x8b\x08"sv)) return Compression::gzip;
  if (first_bytes.starts_with("\x28\xb5\x2f\xfd"sv)) return Compression::zstd;
  // A skippable frame (RFC 8878, 3.1.2), which zstd:chunked and pzstd put first or last.
  if (first_bytes.size() >= 4 && (first_bytes[0] & '\xf0') == '\x50' && first_bytes.substr(1, 3) == "\x2a\x4d\x18"sv) {
    return Compression::zstd;
  }
  if (first_bytes.starts_with("\xfd"
                              "7zXZ\0"sv))
    return Compression::xz;
  if (first_bytes.starts_with("BZh"sv)) return Compression::bzip2;
  return Compression::none;
}

Result<ByteReaderPtr> decompress(ByteReaderPtr input) {
  std::string first(kMagicSize, '\0');
  std::size_t size = 0;
  while (size < kMagicSize) {
    TRY_ASSIGN(const std::size_t got, input->read(first.data() + size, kMagicSize - size));
    if (got == 0) break;
    size += got;
  }
  first.resize(size);
  return ByteReaderPtr{std::make_unique<DecompressingReader>(std::move(input), std::move(first))};
}

}  // namespace compose::image

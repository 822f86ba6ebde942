#include "image/tar_headers.hpp"

#include <fcntl.h>
#include <zstd.h>

#include <vector>

#include "image/byte_stream.hpp"
#include "sys/file.hpp"

namespace compose::image {

namespace {
constexpr std::string_view kMagic = "compose-headers 1\n";
constexpr int kLevel = 1;
constexpr std::uint64_t kMaxText = std::uint64_t{16} << 20;
constexpr std::size_t kPending = std::size_t{64} << 10;
Error damaged() { return make_error(Errc::corrupt, "the record of the layer's tar is damaged"); }
}  // namespace

struct TarHeadersWriter::State {
  UniqueFd fd;
  ZSTD_CCtx* context = ::ZSTD_createCCtx();
  std::vector<char> out = std::vector<char>(::ZSTD_CStreamOutSize());
  std::string pending;  ///< raw bytes, joined into one record

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { ::ZSTD_freeCCtx(context); }

  Result<void> compress(std::string_view bytes, ZSTD_EndDirective directive) {
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    bool finished = false;
    while (!finished) {
      ZSTD_outBuffer window{out.data(), out.size(), 0};
      const std::size_t left = ::ZSTD_compressStream2(context, &window, &in, directive);
      if (::ZSTD_isError(left) != 0) return make_error(Errc::failed, "zstd: {}", ::ZSTD_getErrorName(left));
      TRY(sys::write_all(fd.get(), {out.data(), window.pos}));
      finished = directive == ZSTD_e_end ? left == 0 : in.pos == in.size;
    }
    return {};
  }
  static void append_number(std::string& text, std::uint64_t value) {
    while (value >= 0x80) {
      text += static_cast<char>(value | 0x80);
      value >>= 7U;
    }
    text += static_cast<char>(value);
  }
  static void append_text(std::string& record, std::string_view text) {
    append_number(record, text.size());
    record += text;
  }
  Result<void> flush() {
    if (pending.empty()) return {};
    std::string head = "R";
    append_number(head, pending.size());
    TRY(compress(head, ZSTD_e_continue));
    TRY(compress(pending, ZSTD_e_continue));
    pending.clear();
    return {};
  }
  Result<void> write(const std::string& record) {
    TRY(flush());
    return compress(record, ZSTD_e_continue);
  }
};

TarHeadersWriter::TarHeadersWriter(std::unique_ptr<State> state) : state_{std::move(state)} {}
TarHeadersWriter::TarHeadersWriter(TarHeadersWriter&&) noexcept = default;
TarHeadersWriter& TarHeadersWriter::operator=(TarHeadersWriter&&) noexcept = default;
TarHeadersWriter::~TarHeadersWriter() = default;

Result<TarHeadersWriter> TarHeadersWriter::create(const std::string& path) {
  auto state = std::make_unique<State>();
  state->fd.reset(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!state->fd.valid()) return os_error("create \"{}\"", path);
  ::ZSTD_CCtx_setParameter(state->context, ZSTD_c_compressionLevel, kLevel);
  TRY(state->compress(kMagic, ZSTD_e_continue));
  return TarHeadersWriter{std::move(state)};
}

Result<void> TarHeadersWriter::raw(std::string_view bytes) {
  state_->pending += bytes;
  return state_->pending.size() < kPending ? Result<void>{} : state_->flush();
}

Result<void> TarHeadersWriter::file(std::string_view path, std::uint64_t size) {
  std::string record = "F";
  State::append_number(record, size);
  State::append_text(record, path);
  return state_->write(record);
}

Result<void> TarHeadersWriter::kept(std::string_view path, std::string_view kept_as) {
  std::string record = "K";
  State::append_text(record, path);
  State::append_text(record, kept_as);
  return state_->write(record);
}

Result<void> TarHeadersWriter::finish() {
  TRY(state_->flush());
  return state_->compress({}, ZSTD_e_end);
}

struct TarHeadersReader::State {
  ByteReaderPtr input;
  std::vector<char> buffer = std::vector<char>(kPending);
  std::size_t begin = 0;
  std::size_t end = 0;

  Result<bool> fill() {
    if (begin < end) return true;
    TRY_ASSIGN(end, input->read(buffer.data(), buffer.size()));
    begin = 0;
    return end > 0;
  }
  Result<unsigned char> byte() {
    TRY_ASSIGN(const bool more, fill());
    if (!more) return damaged();
    return static_cast<unsigned char>(buffer[begin++]);
  }
  Result<std::uint64_t> number() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 63; shift += 7) {
      TRY_ASSIGN(const unsigned char part, byte());
      value |= std::uint64_t{part & 0x7fU} << shift;
      if ((part & 0x80U) == 0) return value;
    }
    return damaged();
  }
  Result<std::string> text(std::uint64_t size) {
    if (size > kMaxText) return damaged();
    std::string result;
    while (result.size() < size) {
      TRY_ASSIGN(const bool more, fill());
      if (!more) return damaged();
      const std::size_t count = std::min<std::size_t>(size - result.size(), end - begin);
      result.append(buffer.data() + begin, count);
      begin += count;
    }
    return result;
  }
  Result<std::string> sized_text() {
    TRY_ASSIGN(const std::uint64_t size, number());
    return text(size);
  }
};

TarHeadersReader::TarHeadersReader(std::unique_ptr<State> state) : state_{std::move(state)} {}
TarHeadersReader::TarHeadersReader(TarHeadersReader&&) noexcept = default;
TarHeadersReader& TarHeadersReader::operator=(TarHeadersReader&&) noexcept = default;
TarHeadersReader::~TarHeadersReader() = default;

Result<TarHeadersReader> TarHeadersReader::open(const std::string& path) {
  auto state = std::make_unique<State>();
  UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!fd.valid()) return os_error("open \"{}\"", path);
  TRY_ASSIGN(state->input, decompress(read_fd(std::move(fd))));
  TRY_ASSIGN(const std::string magic, state->text(kMagic.size()));
  if (magic != kMagic) return damaged();
  return TarHeadersReader{std::move(state)};
}

Result<std::optional<TarHeadersRecord>> TarHeadersReader::next() {
  TRY_ASSIGN(const bool more, state_->fill());
  if (!more) return std::optional<TarHeadersRecord>{};
  TarHeadersRecord record;
  TRY_ASSIGN(const unsigned char kind, state_->byte());
  record.kind = static_cast<char>(kind);
  switch (record.kind) {
    case 'R': {
      TRY_ASSIGN(record.text, state_->sized_text());
      break;
    }
    case 'F': {
      TRY_ASSIGN(record.size, state_->number());
      TRY_ASSIGN(record.text, state_->sized_text());
      break;
    }
    case 'K': {
      TRY_ASSIGN(record.text, state_->sized_text());
      TRY_ASSIGN(record.kept, state_->sized_text());
      break;
    }
    default:
      return damaged();
  }
  return std::optional{std::move(record)};
}

}  // namespace compose::image

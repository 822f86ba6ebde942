#pragma once
// The record of a tar's bytes that are not file contents (see layer_tar.hpp).
//
// Format: zstd over "compose-headers 1\n" and records: 'R' length bytes; 'F' size length path (the content of that
// file follows in the tar); 'K' length path length kept (the entry at that path was moved to `kept` just now, so
// earlier 'F' records below it mean the file there). Numbers are LEB128.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace compose::image {

class TarHeadersWriter {
 public:
  static Result<TarHeadersWriter> create(const std::string& path);
  TarHeadersWriter(TarHeadersWriter&&) noexcept;
  TarHeadersWriter& operator=(TarHeadersWriter&&) noexcept;
  ~TarHeadersWriter();

  Result<void> raw(std::string_view bytes);
  Result<void> file(std::string_view path, std::uint64_t size);
  Result<void> kept(std::string_view path, std::string_view kept_as);
  Result<void> finish();

 private:
  struct State;
  explicit TarHeadersWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

struct TarHeadersRecord {
  char kind = 'R';
  std::string text;  ///< the bytes, or the path
  std::string kept;
  std::uint64_t size = 0;
};

class TarHeadersReader {
 public:
  static Result<TarHeadersReader> open(const std::string& path);
  TarHeadersReader(TarHeadersReader&&) noexcept;
  TarHeadersReader& operator=(TarHeadersReader&&) noexcept;
  ~TarHeadersReader();
  /// Nothing at the end; Errc::corrupt for a damaged file.
  Result<std::optional<TarHeadersRecord>> next();

 private:
  struct State;
  explicit TarHeadersReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace compose::image

#pragma once
// Layers and their tars. A diff id is the digest of a layer's uncompressed tar, so a tree without a reproducible tar
// could never leave this host under its own id. Two ways give one back:
//
//   * Layers made here have a canonical tar: entries sorted by name within each directory, a directory before what is
//     in it, ustar headers with pax records only where needed, times in whole seconds, hard links to the first name.
//   * Layers unpacked from a tar keep a record of all bytes that are not file contents (headers.zst: zstd over a list
//     of raw bytes and "the content of file P"), a few percent of the tar.
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "image/byte_stream.hpp"
#include "image/layer_writer.hpp"

namespace compose::image {

/// What limits a tar may use up. A layer of an image is refused beyond them (archive bombs).
struct UnpackLimits {
  std::uint64_t bytes = UINT64_MAX;  ///< of file contents
  std::uint64_t entries = 8'000'000;
  std::size_t path = 4096;
};
/// The limits for a tree on the file system of `directory`: contents may take nine tenths of what is free there.
Result<UnpackLimits> limits_for(const std::string& directory);

/// Unpacks a plain tar into `writer` and records the rest in the file `headers_path` (none when empty). Errors name
/// the entry; entries that point out of the tree, malformed whiteouts and unknown types are Errc::invalid/corrupt.
Result<void> unpack_tar(ByteReader& tar, LayerWriter& writer, const std::string& headers_path,
                        const UnpackLimits& limits);

/// Unpacks a plain tar below `directory` of the tree, as ADD does: names that a layer would take for whiteouts are
/// refused, the owner may be set.
struct ArchiveOwner {
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
};
Result<void> unpack_archive_into(ByteReader& tar, LayerWriter& writer, const std::string& directory,
                                 const ArchiveOwner& owner, const UnpackLimits& limits);

using ByteSink = std::function<Result<void>(std::string_view)>;

struct TarSummary {
  std::uint64_t tar_size = 0;
  std::uint64_t content_size = 0;  ///< bytes of the files' contents
};

/// Writes the canonical tar of the tree `diff` (in overlayfs form) to `sink`.
Result<TarSummary> write_canonical_tar(const std::string& diff, const ByteSink& sink);

/// A file's header in an archive: mode 0444, owner 0, time 0. The content and zeros up to 512 bytes follow it.
std::string archive_member(const std::string& name, std::uint64_t size);

/// Writes the tar of the layer in `folder` (diff/, replaced/) that was unpacked with the record `headers_path`.
Result<void> replay_tar(const std::string& folder, const std::string& headers_path, const ByteSink& sink);

}  // namespace compose::image

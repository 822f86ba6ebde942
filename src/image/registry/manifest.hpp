#pragma once
// What a registry says an image is: manifests and indexes, OCI's and Docker's (image-spec manifest.md, image-index.md;
// distribution's "Image Manifest Version 2, Schema 2").
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace compose::image::registry {

struct Platform {
  std::string os = "linux";
  std::string architecture;  ///< GOARCH
  std::string variant;       ///< "v8", mostly empty

  std::string text() const;
  bool operator==(const Platform&) const = default;
};

/// "linux/amd64", "linux/arm64/v8", "amd64"; "" is this machine.
Result<Platform> parse_platform(std::string_view text);

struct Descriptor {
  std::string media_type;
  std::string digest;
  std::uint64_t size = 0;
  Platform platform;  ///< in an index; empty architecture: not said
};

struct Manifest {
  std::string media_type;
  Descriptor config;
  std::vector<Descriptor> layers;  ///< lowest first
};

struct Index {
  std::vector<Descriptor> manifests;
};

inline constexpr std::size_t kMaxManifest = std::size_t{4} << 20;
inline constexpr std::size_t kMaxConfig = std::size_t{16} << 20;

/// The value of Accept for a manifest or an index of either kind.
std::string accepted_types();

/// Whether the document is an index. Errc::corrupt when it is neither or both (CVE-2021-41190), Errc::unsupported for
/// Docker's schema 1. `content_type` is the header's value; the document's own mediaType must not contradict it.
Result<bool> is_index(std::string_view json, std::string_view content_type);
Result<Manifest> parse_manifest(std::string_view json);
Result<Index> parse_index(std::string_view json);

/// The entry for a platform: the same architecture, of the variants the newest that the platform can run.
/// Errc::not_found lists what there is.
Result<Descriptor> choose(const Index& index, const Platform& platform);

}  // namespace compose::image::registry

#pragma once
// Which blobs of registries are known to hold which layer. The store keeps trees, not compressed tars: this saves the
// compressing and sending of a layer that a registry has already.
//
//   <root>/images/known-blobs/<digits of the diff id>     a JSON array, newest first
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "image/store_internal.hpp"

namespace compose::image::registry {

struct KnownBlob {
  std::string digest;
  std::uint64_t size = 0;
  std::string media_type;
  std::string registry;
  std::string path;  ///< repository
  bool operator==(const KnownBlob&) const = default;
};

/// What is not readable counts as not known.
std::vector<KnownBlob> known_blobs(const Store::Internal& store, const std::string& diff_id);
/// Adds to what is known; the oldest go when there are many. A failure costs only time later, so it is none.
void remember_blob(const Store::Internal& store, const std::string& diff_id, const KnownBlob& blob);

}  // namespace compose::image::registry

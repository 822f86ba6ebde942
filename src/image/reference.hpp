#pragma once
// Names of images as people write them ("nginx", "ghcr.io/a/b:1@sha256:…") and in full
// ("docker.io/library/nginx:latest"). Grammar and defaults: distribution/reference, "ParseNormalizedNamed".
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace compose::image {

struct Reference {
  std::string domain;  ///< registry host, with its port if one was written: "docker.io", "localhost:5000"
  std::string path;    ///< repository within the registry: "library/nginx"
  std::string tag;     ///< "" only when there is a digest
  std::string digest;  ///< "sha256:…" or ""

  /// "docker.io/library/nginx:latest", with "@sha256:…" when a digest was given.
  std::string full() const;
  /// As short as people write it: "nginx:latest", "ghcr.io/a/b:1".
  std::string familiar() const;
  /// Without tag and digest, short: "nginx"; the REPOSITORY column of tables.
  std::string familiar_name() const;
  bool operator==(const Reference&) const = default;
};

/// Errc::invalid for anything outside the grammar (upper case in a repository, a tag of more than 128 characters, a
/// malformed digest). Without tag and digest the tag becomes "latest". A name of 64 hexadecimal digits is refused,
/// since it would be taken for an image id.
Result<Reference> parse_reference(std::string_view text);

}  // namespace compose::image

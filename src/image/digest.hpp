#pragma once
// Content digests, OCI image-spec descriptor.md. Every digest that comes from outside passes parse_digest before it
// becomes part of a path or URL.
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace compose::image {

/// "sha256:" and 64 lower-case hexadecimal digits; everything else is Errc::invalid (other algorithms included: the
/// store keeps one). Returns the digits.
Result<std::string> parse_digest(std::string_view text);
bool is_digest(std::string_view text);

/// "sha256:" + SHA-256 of the bytes.
std::string digest_of(std::string_view bytes);

/// OCI config.md "Layer ChainID": the parent's chain id ("" for the first layer) and this layer's diff id.
std::string chain_id(const std::string& parent_chain_id, const std::string& diff_id);

}  // namespace compose::image

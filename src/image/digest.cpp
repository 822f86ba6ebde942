#include "image/digest.hpp"

#include <algorithm>

#include "base/sha256.hpp"

namespace compose::image {

namespace {
constexpr std::string_view kPrefix = "sha256:";
bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }
}  // namespace

Result<std::string> parse_digest(std::string_view text) {
  if (!is_digest(text)) {
    return make_error(Errc::invalid, "\"{}\" is not a sha256 digest", text.substr(0, 100));
  }
  return std::string{text.substr(kPrefix.size())};
}

bool is_digest(std::string_view text) {
  return text.size() == kPrefix.size() + 64 && text.starts_with(kPrefix) &&
         std::all_of(text.begin() + kPrefix.size(), text.end(), is_hex);
}

std::string digest_of(std::string_view bytes) { return std::string{kPrefix} + sha256_hex(bytes); }

std::string chain_id(const std::string& parent_chain_id, const std::string& diff_id) {
  return parent_chain_id.empty() ? diff_id : digest_of(parent_chain_id + " " + diff_id);
}

}  // namespace compose::image

#pragma once
// RUN --mount: https://docs.docker.com/reference/dockerfile/#run---mount
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "image/shell_words.hpp"

namespace compose::build {

struct MountOptions {
  enum class Type { bind, cache, tmpfs, secret, ssh };
  enum class Sharing { shared, exclusive, locked };
  Type type = Type::bind;
  std::string from;       ///< bind, cache: stage, image or context
  std::string source;     ///< bind, cache: below `from`; "/" when not given
  std::string target;     ///< as written; may be relative to WORKDIR
  std::string id;         ///< cache, secret, ssh
  std::string variable;   ///< secret: `env`
  bool writable = false;  ///< bind: rw; cache: not ro
  bool required = false;  ///< secret, ssh
  Sharing sharing = Sharing::shared;
  std::optional<std::int64_t> size;  ///< tmpfs, bytes
  std::optional<std::uint32_t> mode, uid, gid;
};

/// Reads the text behind --mount=. Keys that a type does not have, values that are none and a missing target are
/// Errc::invalid. Variables are replaced in target, source and id, nowhere else.
Result<MountOptions> parse_mount(std::string_view text, const image::VariableLookup& lookup, char escape);

/// Just the `from` of it ("" without): which stage it needs.
std::string mount_source_name(std::string_view text);

}  // namespace compose::build

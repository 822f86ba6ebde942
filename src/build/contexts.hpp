#pragma once
// Contexts with names (build.additional_contexts): what a name in FROM, COPY --from and RUN --mount from= means.
#include <optional>
#include <string>

#include "compose/model/build.hpp"

namespace compose::build {

struct NamedContext {
  enum class Kind {
    folder,   ///< `location` is an absolute path
    image,    ///< docker-image://: `location` is the image's name
    service,  ///< service:NAME: `location` is the whole text
    layout,   ///< oci-layout://PATH[:TAG][@DIGEST]: `location` is what follows "://"
    remote,   ///< git or an archive: `location` is the URL
  };
  Kind kind = Kind::folder;
  std::string name;
  std::string location;
};

/// The context `name` means, or nothing. As with Docker "busybox", "busybox:latest" and "docker.io/library/busybox" are
/// one name.
std::optional<NamedContext> find_context(const model::StringMap& contexts, const std::string& name);

/// Is this an address to fetch from: http, https, git, ssh, git@host:path, or "github.com/…"?
bool is_remote(const std::string& text);

}  // namespace compose::build

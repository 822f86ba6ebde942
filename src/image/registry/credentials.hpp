#pragma once
// Names and passwords for registries, from Docker's config.json and its credential helpers:
// https://docs.docker.com/reference/cli/docker/login/#credential-stores and docker/docker-credential-helpers.
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "http/url.hpp"

namespace compose::image::registry {

struct Credentials {
  std::string name;
  std::string password;
  std::string identity_token;  ///< OAuth2 refresh token instead of the two
  std::string registry_token;  ///< a bearer token, ready to use

  bool empty() const { return name.empty() && identity_token.empty() && registry_token.empty(); }
};

/// What config.json says of one registry.
struct CredentialSource {
  Credentials stored;  ///< of `auths`
  std::string helper;  ///< "pass": of docker-credential-pass; "" = none
};

/// Errc::invalid when the text is no JSON object or an `auth` is not base64 of "name:password". `registry` is as images
/// name it; docker.io has the key "https://index.docker.io/v1/".
Result<CredentialSource> find_credentials(std::string_view config_json, const std::string& registry);

/// The credentials for a registry; empty ones when there are none. Errors name the file or the helper.
Result<Credentials> load_credentials(const std::string& config_file, const std::string& registry,
                                     const http::Environment& environment);

}  // namespace compose::image::registry

#pragma once
// How to reach registries: what the user wrote in registries.yaml, and the certificates lying where Docker and podman
// look for them. docs/registries.md describes the file.
#include <map>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "http/client.hpp"

namespace compose::image::registry {

/// One entry of `registries:`.
struct HostSettings {
  std::vector<http::Url> mirrors;  ///< asked first for pulls, in this order; the path is a prefix before /v2
  bool insecure = false;           ///< certificates are not checked, and plain HTTP will do
  std::string ca;                  ///< PEM file
  std::string certificate;         ///< PEM file for this client
  std::string key;
};

struct Settings {
  std::map<std::string, HostSettings> hosts;  ///< by registry as images name it: "docker.io", "localhost:5000"
  std::vector<std::string> certificate_dirs;  ///< with HOST[:PORT]/*.crt, *.cert and *.key in them
  std::string docker_config;                  ///< config.json with credentials; may not exist
  http::Timeouts timeouts;
  std::chrono::milliseconds retry_delay{250};  ///< before the second attempt; doubled for each further one
  http::Environment environment;

  const HostSettings* find(const std::string& host) const;
};

/// Reads $COMPOSE_REGISTRIES, else /etc/compose/registries.yaml and then $XDG_CONFIG_HOME/compose/registries.yaml
/// (whose entries win). Files that do not exist are fine. Errc::invalid names the file and the line.
Result<Settings> load_settings(const http::Environment& environment = http::process_environment());
/// The entries of one such text; `file` is for the errors.
Result<std::map<std::string, HostSettings>> parse_registries(std::string_view text, const std::string& file);

/// Whom to trust at `host`: its entry, and its folders in `certificate_dirs`.
http::TlsSettings tls_settings(const Settings& settings, const std::string& host);

/// localhost, 127.0.0.0/8 and ::1, with or without a port: plain HTTP is allowed there, as in Docker.
bool is_local(const std::string& host);

}  // namespace compose::image::registry

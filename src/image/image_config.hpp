#pragma once
// The configuration of an image: OCI image-spec config.md, with Docker's additions (Healthcheck, Shell, OnBuild).
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/units.hpp"

namespace compose::image {

struct Healthcheck {
  std::vector<std::string> test;  ///< {"NONE"}, {"CMD", …}, {"CMD-SHELL", line}; empty: inherited
  Duration interval{0};           ///< 0 = not given
  Duration timeout{0};
  Duration start_period{0};
  Duration start_interval{0};
  int retries = 0;  ///< 0 = not given
  bool operator==(const Healthcheck&) const = default;
};

struct HistoryEntry {
  std::string created;  ///< RFC 3339
  std::string created_by;
  std::string author;
  std::string comment;
  bool empty_layer = false;
  bool operator==(const HistoryEntry&) const = default;
};

struct ImageConfig {
  std::string architecture;  ///< GOARCH: "amd64"
  std::string variant;       ///< "v8", mostly empty
  std::string os;            ///< "linux"
  std::string created;       ///< RFC 3339
  std::string author;

  // What a container gets:
  std::optional<std::vector<std::string>> entrypoint;  ///< nothing and empty both mean none
  std::optional<std::vector<std::string>> cmd;
  std::vector<std::string> env;         ///< "NAME=value", in order, each name once
  std::string user;                     ///< "", "name", "uid", "uid:gid", …
  std::string working_dir;              ///< "" = "/"
  std::set<std::string> exposed_ports;  ///< "80/tcp"
  std::set<std::string> volumes;        ///< absolute paths
  std::map<std::string, std::string> labels;
  std::string stop_signal;
  std::optional<Healthcheck> healthcheck;
  std::vector<std::string> shell;     ///< of SHELL; empty = {"/bin/sh", "-c"}
  std::vector<std::string> on_build;  ///< ONBUILD triggers

  std::vector<std::string> diff_ids;  ///< digests of the uncompressed layers, lowest first
  std::vector<HistoryEntry> history;

  /// The value of an environment variable, if it is set.
  std::optional<std::string> env_value(std::string_view name) const;
  void set_env(const std::string& name, const std::string& value);
  bool operator==(const ImageConfig&) const = default;
};

/// Accepts OCI and Docker (v2 schema 2) configurations. Errc::corrupt when it is none, when a field has another type
/// than the specification says, or a diff id is no digest.
Result<ImageConfig> parse_image_config(std::string_view json);
/// The bytes that are stored and hashed: fields in a fixed order, so equal configurations have equal ids.
std::string to_json(const ImageConfig& config);

}  // namespace compose::image

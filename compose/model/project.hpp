#pragma once
// The project: what the loader makes of the Compose files, typed, defaulted, with host paths absolute. Plain values:
// copy them, compare them, send them to another process as JSON. It knows where each part was written.
#include <memory>
#include <string_view>

#include "base/error.hpp"
#include "compose/model/service.hpp"
#include "compose/model/source_pos.hpp"
#include "compose/model/values.hpp"

namespace compose::model {

struct IpamPool {
  std::string subnet;  ///< CIDR
  std::string ip_range;
  std::string gateway;
  StringMap aux_addresses;
  bool operator==(const IpamPool&) const = default;
};

struct Ipam {
  std::string driver;
  std::vector<IpamPool> config;
  StringMap options;
  bool operator==(const Ipam&) const = default;
};

struct Network {
  std::string name;  ///< the real name: "PROJECT_KEY" unless `name:` or `external` says otherwise
  std::string driver;
  StringMap driver_opts;
  Ipam ipam;
  bool external = false;  ///< exists already: never made or removed by us
  bool internal = false;
  bool attachable = false;
  std::optional<bool> enable_ipv4;
  std::optional<bool> enable_ipv6;
  StringMap labels;
  bool operator==(const Network&) const = default;
};

struct Volume {
  std::string name;  ///< the real name: "PROJECT_KEY" unless `name:` or `external` says otherwise
  std::string driver;
  StringMap driver_opts;
  bool external = false;
  StringMap labels;
  bool operator==(const Volume&) const = default;
};

/// A top-level secret or config. Exactly one source is set unless it is external.
struct FileObject {
  std::string name;                    ///< the real name
  std::string file;                    ///< absolute host path
  std::string environment;             ///< variable that holds the content
  std::optional<std::string> content;  ///< the content itself (config), or the value `environment` had at load
  bool external = false;
  StringMap labels;
  std::string driver;
  StringMap driver_opts;
  std::string template_driver;
  bool operator==(const FileObject&) const = default;
};

struct Model {
  std::string name;
  std::string model;
  std::optional<std::int64_t> context_size;
  Strings runtime_flags;
  bool operator==(const Model&) const = default;
};

/// Model paths ("services.web.ports[0]") and the places they were written at.
class Positions {
 public:
  void set(std::string path, const SourcePos& pos);
  /// The place of `path`, or of its longest known prefix; unknown when there is none.
  SourcePos where(std::string_view path) const;
  bool operator==(const Positions&) const = default;

  /// All of them, by path, for writing.
  const std::map<std::string, SourcePos, std::less<>>& all() const { return places_; }

 private:
  std::map<std::string, SourcePos, std::less<>> places_;
};

struct Project {
  std::string name;
  std::string working_dir;                  ///< absolute: the project directory
  Strings files;                            ///< the -f files as absolute paths, "-" for standard input
  StringMap environment;                    ///< what interpolation saw: .env and --env-file, overridden by the shell
  Strings profiles;                         ///< the active ones
  std::map<std::string, Service> services;  ///< the enabled ones
  std::map<std::string, Service> disabled_services;  ///< left out by their profile
  std::map<std::string, Network> networks;           ///< those some service uses (with `default` when used)
  std::map<std::string, Volume> volumes;
  std::map<std::string, FileObject> secrets;
  std::map<std::string, FileObject> configs;
  std::map<std::string, Model> models;
  Positions positions;

  /// Where a path of the model was written; the longest known prefix answers.
  SourcePos where(std::string_view path) const { return positions.where(path); }
  bool operator==(const Project&) const = default;
};

/// Reads what project_to_json wrote (the canonical JSON of `config --format json` and, beside it, the positions, the
/// environment and the disabled services). Errc::corrupt names the path that does not fit.
Result<Project> project_from_json(std::string_view canonical_json);

/// The project as one JSON text, keys sorted; project_from_json gives an equal project back.
std::string project_to_json(const Project& project);

/// One service as canonical JSON, keys sorted, fields that are not set left out.
std::string service_to_json(const Service& service);

/// 64 hexadecimal digits: SHA-256 of the service's canonical JSON without what does not change a container: build,
/// pull_policy, scale, deploy.replicas, depends_on, profiles.
std::string config_hash(const Project& project, const Service& service);

}  // namespace compose::model

#pragma once
// Small value types that several sections of the model share. Empty string / nullopt = not set in the files.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace compose::model {

using Strings = std::vector<std::string>;
using StringMap = std::map<std::string, std::string>;
/// An environment: a name without a value (nullopt) is taken from nowhere: the container must not get it.
using Environment = std::map<std::string, std::optional<std::string>>;

/// `ulimits.NAME`: both set. -1 is "unlimited".
struct Ulimit {
  std::int64_t soft = 0;
  std::int64_t hard = 0;
  bool operator==(const Ulimit&) const = default;
};

/// One entry of a service's (or a build's) `secrets` or `configs`.
struct FileReference {
  std::string source;                 ///< name in the project's `secrets` or `configs`
  std::string target;                 ///< secrets: absolute or a name under /run/secrets; configs: "" means "/SOURCE"
  std::string uid;                    ///< "" = 0
  std::string gid;                    ///< "" = 0
  std::optional<std::uint32_t> mode;  ///< permission bits; not set = 0444
  bool operator==(const FileReference&) const = default;
};

/// One request of `deploy.resources.reservations.devices` or `gpus`.
struct DeviceRequest {
  Strings capabilities;
  std::string driver;
  std::optional<std::int64_t> count;  ///< -1 = all
  Strings device_ids;
  StringMap options;
  bool operator==(const DeviceRequest&) const = default;
};

}  // namespace compose::model

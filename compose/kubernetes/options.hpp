#pragma once
// What the export is asked for and what it must know of the world: values, gathered by the caller. The export itself
// reads no file and asks nobody.
#include <map>
#include <optional>
#include <string>

#include "compose/model/project.hpp"

namespace compose::kubernetes {

using model::Strings;

/// What an image says of itself, as far as it is on this host. Everything empty: nothing is known.
struct ImageFacts {
  Strings exposed_ports;  ///< EXPOSE: "80/tcp"
  Strings volumes;        ///< VOLUME: absolute paths
  std::string user;       ///< who the container runs as: "UID:GID", numbers; the service's `user` (or USER) looked up
  std::optional<model::Healthcheck> healthcheck;  ///< HEALTHCHECK
  std::string pinned;                             ///< "name@sha256:…" when a registry gave a digest
};

/// A file or folder of this host that the project names.
struct HostPath {
  enum class Kind { missing, file, directory, other };
  Kind kind = Kind::missing;
  std::optional<std::string> content;        ///< of a file of at most kMostBytes
  std::map<std::string, std::string> files;  ///< of a folder: relative path -> content
  bool too_large = false;                    ///< more than kMostBytes in all, or more than kMostFiles
};
/// A ConfigMap holds at most 1 MiB (kubernetes.io/docs/concepts/configuration/configmap).
inline constexpr std::size_t kMostBytes = 1'000'000;
inline constexpr std::size_t kMostFiles = 500;

/// What becomes of a folder of this host that a container mounts.
enum class Directories { refuse, config_map, host_path };
/// What becomes of a volume that more than one pod mounts.
enum class SharedVolumes { refuse, read_write_many, same_node };

struct Options {
  bool embed_secrets = false;  ///< write the secrets' content, not only references
  bool pin_images = false;     ///< image@digest instead of image:tag
  Directories directories = Directories::refuse;
  SharedVolumes shared_volumes = SharedVolumes::refuse;
  std::string wait_image = "busybox:1.36";                        ///< has sh and nc, for init containers that wait
  std::string kubectl_image = "registry.k8s.io/kubectl:v1.34.0";  ///< waits for Jobs
  std::map<std::string, ImageFacts> images;                       ///< by service
  std::map<std::string, HostPath> paths;                          ///< by absolute path
};

}  // namespace compose::kubernetes

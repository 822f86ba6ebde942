#pragma once
// A container's files, from its creation to its removal. Every function can be repeated after a crash at any point and
// none leaves a mount on the host.
//
//   create_container   volumes (with the image's content when new), bind sources, the overlay's directories,
//                      config.json and files.json in the container's directory
//   prepare_start      hosts, hostname, resolv.conf, secrets and configs in its run directory, which a reboot empties;
//                      the spec for the launch
//   remove_container   both directories
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "compose/model/project.hpp"
#include "container/run_files.hpp"
#include "image/store.hpp"
#include "runtime/launch/plan.hpp"
#include "runtime/spec/spec.hpp"
#include "state/paths.hpp"
#include "state/records.hpp"

namespace compose::container {

struct CreateInput {
  const model::Project& project;
  const model::Service& service;
  const image::Image& image;
  std::string id;
  std::string name;
  int number = 1;
  /// target path -> volume name, from the container this one replaces (plan::Op::anonymous_volumes)
  std::map<std::string, std::string> anonymous_volumes{};
  /// An entry of volumes_from without its ":ro" -> id of the container (of this project) it means.
  std::map<std::string, std::string> volumes_from{};
  /// Images of mounts of type `image`, by the reference they name.
  std::map<std::string, image::Image> images{};
  std::map<std::string, std::string> labels{};  ///< of the container, image's and compose's included
};

struct Created {
  runtime::spec::Spec spec;                ///< config.json
  RunFiles files;                          ///< files.json
  std::vector<state::MountRecord> mounts;  ///< anonymous volumes are marked
};

/// Errors name the position in the files: a bind source that does not exist and may not be made, a volume that the
/// project calls external and is not there, a secret without a file.
Result<Created> create_container(const state::Paths& paths, const CreateInput& input);

struct StartInput {
  std::string project;
  std::string id;
  /// The container's own addresses (without prefix length), for /etc/hosts; first network first.
  std::vector<std::string> addresses{};
  /// "network", "ipc", "pid" -> /proc/PID/ns/… of the container it joins (network_mode: service:… and the like)
  std::map<std::string, std::string> namespaces{};
  /// The container whose network it joins: its hosts, hostname and resolv.conf are used. "" = its own.
  std::string network_container{};
  /// The container whose ipc namespace it joins: its /dev/shm is used. "" = its own.
  std::string ipc_container{};
  /// The resolver answers at 127.0.0.11 (launch::CompileRequest::resolver).
  bool resolver = true;
  /// What "host-gateway" in extra_hosts stands for: the gateway of its first network.
  std::string host_gateway{};
};

/// What is to be launched; the spec of create_container with what only a start knows. Also makes <run dir>/rootfs.
/// `created`: what create_container returned for this container, or nothing; then its files are read.
struct Start {
  runtime::spec::Spec spec;
  runtime::launch::Overlay overlay;
};
Result<Start> prepare_start(const state::Paths& paths, const StartInput& input, std::unique_ptr<Created> created = {});

/// The volumes that go with the container's files, whoever removes those after whatever crash: new anonymous ones until
/// it has its record (create_container notes them), those of a container that is removed with them. None: all stay.
Result<void> set_own_volumes(const state::Paths& paths, const std::string& project, const std::string& id,
                             const std::vector<std::string>& names);

/// Removes its durable and its run directory and, first, its own volumes (set_own_volumes); the others stay. A
/// container that is not there is fine.
Result<void> remove_container(const state::Paths& paths, const std::string& project, const std::string& id);

/// "secret \"db\" at /run/secrets/db" -> "sha256:…" of its content, for the secrets and configs of a service.
Result<std::map<std::string, std::string>> granted_digests(const model::Project& project,
                                                           const model::Service& service);

/// service -> hash of all that makes its containers: model::config_hash and the contents of the files behind its
/// secrets and configs. Errc::not_found names a file and where it is declared.
Result<std::string> service_hash(const model::Project& project, const model::Service& service);

}  // namespace compose::container

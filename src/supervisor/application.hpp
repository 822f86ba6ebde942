#pragma once
// What is to be: the project of one `up`, `create` or `run` with everything that was looked up for it. Never changed
// once made, so that pool threads may read it.
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "compose/model/project.hpp"
#include "compose/plan/attributes.hpp"
#include "image/store.hpp"
#include "net/networks.hpp"
#include "state/records.hpp"
#include "sys/staged_file.hpp"

namespace compose::supervisor {

/// An error and the place in the files it comes from ("file:line:col", "" = none is known).
struct Failure {
  std::string message;
  std::string position;
};

struct Application {
  model::Project project;
  std::map<std::string, std::string> images;           ///< service -> image id
  std::map<std::string, std::string> hashes;           ///< service -> container::service_hash
  std::map<std::string, plan::Attributes> attributes;  ///< service -> what its containers are made from
  std::map<std::string, image::Image> loaded;          ///< image id -> image
  std::map<std::string, image::Image>
      mounted;  ///< images that are mounted as volumes, by the reference that names them
};
using ApplicationPtr = std::shared_ptr<const Application>;

/// Reads the project (model::project_to_json), finds the images, computes the hashes. Null with `failure` set when the
/// project does not fit, an image is not in the store, or a secret's file is not there.
ApplicationPtr make_application(const image::Store& store, const std::string& project_json,
                                const std::map<std::string, std::string>& images, Failure& failure);

Failure missing_image(const model::Project& project, const std::string& service, const std::string& why);

/// <root>/projects/<p>/desired.json: what the last successful apply wanted.
struct DesiredText {
  std::string project_json;
  std::map<std::string, std::string> images;
};
/// To be committed when the apply has succeeded.
Result<sys::StagedFile> stage_desired(const state::Paths& paths, const std::string& project,
                                      const DesiredText& desired);
/// Nothing when there is none.
Result<std::optional<DesiredText>> load_desired(const state::Paths& paths, const std::string& project);

/// Where one container is to be made.
struct Place {
  std::string service;
  std::string id;
  std::string name;
  int number = 1;
  bool one_off = false;
  bool auto_remove = false;
  bool service_ports = true;  ///< publish the service's ports
  bool use_aliases = true;    ///< answer to the service's names
  bool wait_attach = false;   ///< its program starts when somebody has attached to its output
};

/// The record of a container that does not exist yet: everything its life needs to know of its service and image.
/// Errc::invalid: a port, a restart policy or a log option that cannot be.
Result<state::ContainerRecord> make_record(const Application& application, const Place& place);

/// One of the project's networks as the net module takes it.
net::NetworkSpec network_spec(const model::Project& project, const std::string& key);

/// Labels that tell what a network was made from.
inline constexpr const char* kHashLabel = "com.docker.compose.config-hash";

}  // namespace compose::supervisor

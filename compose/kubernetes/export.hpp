#pragma once
// The model as Kubernetes manifests: a pure function of the project, what is asked for and what is known of images and
// files (options.hpp). The mapping is described key by key in docs/kubernetes.md.
#include <string>
#include <vector>

#include "compose/kubernetes/options.hpp"
#include "compose/kubernetes/report.hpp"
#include "compose/model/project.hpp"
#include "yaml/value.hpp"

namespace compose::kubernetes {

/// Something the export cannot decide alone; the message says what to choose from.
struct Problem {
  std::string path;
  model::SourcePos pos;
  std::string message;
};

/// One object. Places in it count in Export::files, so that the text can name the Compose line.
struct Manifest {
  std::string group;  ///< the file it goes to, without ".yaml": the service, or "volumes", "networks", "configs" …
  yaml::Value object;
};

struct Export {
  std::vector<Manifest> manifests;  ///< by group, kind and name
  std::vector<std::string> files;   ///< Place::source 1 is the first of them
  std::vector<Finding> findings;
  std::vector<Problem> problems;             ///< not empty: the manifests are not complete
  std::vector<std::string> warnings;         ///< what should be seen even without the report
  std::map<std::string, std::string> names;  ///< names that had to change: "services.My_Web" -> "my-web"
};

Export export_project(const model::Project& project, const Options& options);

/// What the caller must look up before: files and folders of this host whose content goes into the manifests.
Strings wanted_paths(const model::Project& project);

/// The pods a service runs in. Services that share namespaces share a pod; it has the name of one of them.
struct PodOf {
  Strings names;        ///< what the pods' name label says: one of these
  bool shared = false;  ///< with other services, each of them one container
};
/// Of a service that the project has.
PodOf pod_of(const model::Project& project, const std::string& service);

/// The objects of one group as YAML, "---" between them, with the Compose line behind what was written there.
std::string render(const Export& exported, std::string_view group);
/// The groups, sorted.
Strings groups(const Export& exported);

/// Labels that tell our objects: what pruning and deleting select.
inline constexpr std::string_view kNameLabel = "app.kubernetes.io/name";
inline constexpr std::string_view kPartOfLabel = "app.kubernetes.io/part-of";
inline constexpr std::string_view kManagedByLabel = "app.kubernetes.io/managed-by";
/// What goes before the labels and annotations that only the import reads.
inline constexpr std::string_view kPrefix = "compose/";
/// The first port that every user of a network namespace may listen on.
inline constexpr std::string_view kLowPorts = "net.ipv4.ip_unprivileged_port_start";

}  // namespace compose::kubernetes

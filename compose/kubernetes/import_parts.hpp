#pragma once
// What the parts of the import share; internal to the library.
#include <fmt/format.h>

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "base/strings.hpp"
#include "compose/kubernetes/export.hpp"
#include "compose/kubernetes/names.hpp"
#include "compose/kubernetes/tree.hpp"

namespace compose::kubernetes {

/// The objects by kind and name.
class Cluster {
 public:
  explicit Cluster(const std::vector<Value>& objects);
  const Value* find(const std::string& kind, const std::string& name) const;
  std::vector<const Value*> all(const std::string& kind) const;
  /// The Compose name of a Kubernetes name, as the export noted it: section "services", "volumes", …
  std::string original(const std::string& section, const std::string& name) const;
  const std::vector<const Value*>& workloads() const { return workloads_; }

 private:
  std::map<std::string, std::map<std::string, const Value*>> by_kind_;
  std::map<std::string, std::string> names_;
  std::vector<const Value*> workloads_;
};

/// The value that must be there. What stands in an object is not checked beforehand: a value that is missing here, or
/// of another kind than it is read as, throws, and import_objects makes an error of it.
inline const Value& need(const Value* value) {
  if (value == nullptr) throw std::bad_variant_access{};
  return *value;
}

std::string annotation(const Value& object, std::string_view key);
/// "a=b,c=d"
std::map<std::string, std::string> pairs_of(const std::string& text);
/// What is neither ours nor Kubernetes' own, from labels and annotations.
Value foreign_labels(const Value& metadata);
const Value* template_of(const Value& workload);
Strings strings_of(const Value* list);
Strings unescape_references(const Strings& words);

// import_container.cpp: what a container says of its service
void import_container(const Cluster& cluster, const Value& workload, const Value& container, Value& service);
// import_mounts.cpp: volumes, configs, secrets
void import_mounts(const Cluster& cluster, const Value& pod, const Value& container, Value& service);
// import_pod.cpp: what the pod and its keeper say of the leader
void import_workload(const Cluster& cluster, const Value& workload, Value& services);

}  // namespace compose::kubernetes

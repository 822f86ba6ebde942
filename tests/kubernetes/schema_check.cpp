#include "schema_check.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.hpp"
#include "case.hpp"
#include "compose/kubernetes/names.hpp"
#include "compose/kubernetes/tree.hpp"
#include "yaml/write.hpp"

namespace compose::kubernetes::test {
namespace {

const Value& schema() {
  static const Value kSchema = [] {
    Value value;
    yaml::from_json(read_text(SCHEMA), value);
    return value;
  }();
  return kSchema;
}

class Checker {
 public:
  explicit Checker(std::vector<std::string>& problems) : problems_{problems} {}

  void check(const Value& value, const Value& type, const std::string& path) {
    if (const std::string* word = type.if_string()) return scalar(value, *word, path);
    if (const Value* reference = type.get("ref")) {
      const Value* target = dig(schema(), {"types", reference->as_string()});
      if (target == nullptr) return wrong(path, "a type the schema does not have: " + reference->as_string());
      return check(value, *target, path);
    }
    if (const Value* item = type.get("list")) {
      if (!value.is_sequence()) return wrong(path, "must be a list");
      std::size_t index = 0;
      for (const Value& one : value.items()) check(one, *item, fmt::format("{}[{}]", path, index++));
    } else if (const Value* member = type.get("map")) {
      if (!value.is_mapping()) return wrong(path, "must be a mapping");
      for (const yaml::Entry& entry : value.entries()) check(entry.value, *member, path + "." + entry.key);
    } else if (const Value* allowed = type.get("one of")) {
      const bool fits = std::any_of(allowed->items().begin(), allowed->items().end(),
                                    [&](const Value& one) { return one.same_as(value); });
      if (!fits) wrong(path, "is none of the values allowed");
    } else {
      fields(value, type, path);
    }
  }

 private:
  void wrong(const std::string& path, const std::string& what) { problems_.push_back(path + ": " + what); }

  void scalar(const Value& value, const std::string& type, const std::string& path) {
    const bool fits = type == "anything" || (type.find("string") != std::string::npos && value.is_string()) ||
                      (type.find("number") != std::string::npos && value.is_integer()) ||
                      (type.find("boolean") != std::string::npos && value.is_bool());
    if (!fits) wrong(path, "must be " + type);
  }

  void fields(const Value& value, const Value& type, const std::string& path) {
    if (!value.is_mapping()) return wrong(path, "must be a mapping");
    for (const yaml::Entry& entry : value.entries()) {
      const Value* field = dig(type, {"fields", entry.key});
      if (field == nullptr)
        wrong(path + "." + entry.key, "no such field");
      else
        check(entry.value, *field, path + "." + entry.key);
    }
    for (const Value& name : type.get("required")->items())
      if (value.get(name.as_string()) == nullptr) wrong(path, "must have " + name.as_string());
  }

  std::vector<std::string>& problems_;
};

const Value* pod_of(const Value& object) {
  if (const Value* pod = dig(object, {"spec", "template"})) return pod;
  return dig(object, {"spec", "jobTemplate", "spec", "template"});
}

void check_labels(const Value& metadata, std::vector<std::string>& problems) {
  if (const Value* labels = metadata.get("labels"))
    for (const yaml::Entry& entry : labels->entries())
      if (!entry.value.is_string() || !valid_label(entry.key, entry.value.as_string()))
        problems.push_back("not a label: " + entry.key);
  if (const Value* annotations = metadata.get("annotations"))
    for (const yaml::Entry& entry : annotations->entries())
      if (!valid_annotation_key(entry.key)) problems.push_back("not an annotation: " + entry.key);
}

// What the validation of the API server says beyond the types (k8s.io/kubernetes/pkg/apis/core/validation).
void check_pod(const Value& pod, const std::string& kind, std::vector<std::string>& problems) {
  const Value& spec = *pod.get("spec");
  const std::string restart = text_at(spec, {"restartPolicy"});
  const bool job = kind == "Job" || kind == "CronJob";
  if (job != (restart == "Never" || restart == "OnFailure"))
    problems.push_back(kind + " with restartPolicy \"" + restart + "\"");
  std::vector<std::string> volumes;
  std::vector<std::string> names;
  if (const Value* list = spec.get("volumes"))
    for (const Value& volume : list->items()) {
      volumes.push_back(text_at(volume, {"name"}));
      if (volume.entries().size() != 2) problems.push_back("volume " + volumes.back() + " has no source, or several");
    }
  for (const char* containers : {"containers", "initContainers"}) {
    const Value* list = spec.get(containers);
    if (list == nullptr) continue;
    for (const Value& container : list->items()) {
      names.push_back(text_at(container, {"name"}));
      if (!is_dns_label(names.back())) problems.push_back("not a container's name: " + names.back());
      std::vector<std::string> targets;
      if (const Value* mounts = container.get("volumeMounts"))
        for (const Value& mount : mounts->items()) {
          targets.push_back(text_at(mount, {"mountPath"}));
          const std::string name = text_at(mount, {"name"});
          if (std::find(volumes.begin(), volumes.end(), name) == volumes.end())
            problems.push_back("no such volume: " + name);
        }
      std::sort(targets.begin(), targets.end());
      if (std::adjacent_find(targets.begin(), targets.end()) != targets.end())
        problems.push_back("two volumes at one path");
    }
  }
  for (auto* all : {&volumes, &names}) {
    std::sort(all->begin(), all->end());
    if (std::adjacent_find(all->begin(), all->end()) != all->end())
      problems.push_back("a name twice: " + *std::adjacent_find(all->begin(), all->end()));
    for (const std::string& name : *all)
      if (!is_dns_label(name)) problems.push_back("not a name: " + name);
  }
}

// A controller appends a time or a revision to these names.
void check_length(const std::string& kind, const std::string& name, std::vector<std::string>& problems) {
  if ((kind == "CronJob" || kind == "StatefulSet") && name.size() > 52) problems.push_back("a name too long: " + name);
}

void check_service(const Value& object, std::vector<std::string>& problems) {
  const Value* ports = dig(object, {"spec", "ports"});
  if (text_at(object, {"kind"}) != "Service" || ports == nullptr) return;
  std::vector<std::string> names;
  for (const Value& port : ports->items()) {
    names.push_back(text_at(port, {"name"}));
    if (names.back().size() > 63 || !is_dns_label(names.back()))
      problems.push_back("not a port's name: " + names.back());
  }
  std::sort(names.begin(), names.end());
  if (std::adjacent_find(names.begin(), names.end()) != names.end()) problems.push_back("two ports of one name");
}

void check_selector(const Value& object, std::vector<std::string>& problems) {
  const Value* selector = dig(object, {"spec", "selector", "matchLabels"});
  const Value* pod = pod_of(object);
  if (selector == nullptr || pod == nullptr) return;
  for (const yaml::Entry& entry : selector->entries())
    if (text_at(*pod, {"metadata", "labels", entry.key}) != entry.value.as_string())
      problems.push_back("the selector does not select the pods: " + entry.key);
}

}  // namespace

std::vector<std::string> check_object(const Value& object) {
  std::vector<std::string> problems;
  const std::string kind = text_at(object, {"kind"});
  const Value* type = dig(schema(), {"kinds", text_at(object, {"apiVersion"}) + "/" + kind});
  if (type == nullptr) return {"a kind the schema does not have: " + text_at(object, {"apiVersion"}) + "/" + kind};
  Checker(problems).check(object, *type, kind);
  const std::string name = text_at(object, {"metadata", "name"});
  if (!is_dns_label(name)) problems.push_back("not a name: " + name);
  check_labels(*object.get("metadata"), problems);
  if (const Value* pod = pod_of(object)) {
    check_labels(*pod->get("metadata"), problems);
    check_pod(*pod, kind, problems);
  }
  check_selector(object, problems);
  check_service(object, problems);
  check_length(kind, name, problems);
  return problems;
}

}  // namespace compose::kubernetes::test

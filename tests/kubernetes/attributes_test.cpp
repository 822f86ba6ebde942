// The loss report tells the truth about every attribute of the specification: what it calls exact or approximated
// changes the manifests when it is taken away, and what it drops has its reason. tests/kubernetes/cases/everything uses
// them all.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>

#include "case.hpp"
#include "compose/kubernetes/disk_paths.hpp"
#include "compose/kubernetes/tree.hpp"
#include "compose/model/from_tree.hpp"
#include "yaml/write.hpp"

namespace compose::kubernetes::test {
namespace {

/// What is gone when the project is loaded, so that no manifest can show it; its effect is in other attributes.
const std::set<std::string> kLoaded = {
    "version",
    "include",
    "include[].path",
    "include[].env_file",
    "include[].project_directory",
    "services.<name>.env_file",
    "services.<name>.env_file[].path",
    "services.<name>.env_file[].format",
    "services.<name>.env_file[].required",
    "services.<name>.label_file",
    "services.<name>.extends",
    "services.<name>.extends.service",
    "services.<name>.extends.file",
    "networks.<name>.external.name",
    "volumes.<name>.external.name",
    "secrets.<name>.external.name",
    "configs.<name>.external.name",
    "<yaml anchors & merge keys>",
    "!reset / !override tags",
    "${VAR} ${VAR:-d} ${VAR-d} ${VAR:?e} ${VAR?e} ${VAR:+r} ${VAR+r} $$",
    "jobs",
};

/// Exact although no manifest says so, and why.
const std::map<std::string, std::string> kSilent = {
    {"x-*", "extensions mean nothing, here as there"},
    {"services.<name>.profiles", "whether the service is exported at all"},
    {"services.<name>.healthcheck.disable", "no probe: as without a check"},
    {"services.<name>.volumes[].volume.nocopy", "a claim is never filled from the image"},
    {"services.<name>.build", "the image is made before"},
    {"services.<name>.stop_signal", "SIGTERM is what pods are stopped with"},
    {"services.<name>.gpus[].capabilities", "gpus means GPUs"},
    {"networks.<name>.name", "a NetworkPolicy is called by the key"},
    {"configs.<name>.environment", "what it holds is content when the project is loaded"},
    {"secrets.<name>.environment", "what it holds is content when the project is loaded"},
};

bool in_vain(const std::string& attribute) {
  return kSilent.contains(attribute) || attribute.starts_with("services.<name>.build.");
}

/// The part of the tree that a path of the report leads to, and how to take it away. Keys may hold dots.
bool take_away(Value& tree, std::string_view path) {
  if (yaml::Mapping* mapping = tree.if_mapping()) {
    for (const yaml::Entry& entry : *mapping) {
      const std::string key = entry.key;
      if (!path.starts_with(key)) continue;
      const std::string_view rest = path.substr(key.size());
      if (rest.empty()) return mapping->erase(key);
      if (rest.front() != '.' && rest.front() != '[') continue;
      if (take_away(*tree.get(key), rest.substr(rest.front() == '.' ? 1 : 0))) return true;
    }
    return false;
  }
  if (!tree.is_sequence() || !path.starts_with('[')) return false;
  const std::size_t end = path.find(']');
  const std::size_t index = std::stoul(std::string{path.substr(1, end - 1)});
  auto& items = tree.items();
  if (index >= items.size()) return false;
  if (end + 1 == path.size()) {
    items.erase(items.begin() + static_cast<std::ptrdiff_t>(index));
    return true;
  }
  return take_away(items[index], path.substr(end + (path[end + 1] == '.' ? 2 : 1)));
}

std::string text_of(const Export& exported) {
  std::string all;
  for (const Manifest& manifest : exported.manifests) all += yaml::to_yaml(manifest.object);
  for (const Problem& problem : exported.problems) all += problem.message;
  return all;
}

/// One case, exported from its tree: parts of it can be taken away.
class Ablation {
 public:
  explicit Ablation(const std::string& name) : case_{read_case(name)}, loaded_{export_case(case_)} {
    if (!loaded_.result.project) return;
    tree_ = model::tree_of(*loaded_.result.project);
    before_ = text_of(exported(tree_));
  }

  const std::vector<Finding>& findings() const { return loaded_.exported.findings; }

  bool changes_something(const Finding& finding) const {
    Value tree = tree_;
    if (!take_away(tree, finding.path)) return false;
    return text_of(exported(tree)) != before_;
  }

 private:
  Export exported(const Value& tree) const {
    auto project = model::project_from_tree(tree, Value::mapping(), nullptr);
    if (!project.ok()) {
      Export out;
      out.problems.push_back({{}, {}, project.error().message()});
      return out;
    }
    project->working_dir = loaded_.result.project->working_dir;
    Options options = case_.options;
    options.paths = read_paths(wanted_paths(*project));
    return export_project(*project, options);
  }

  Case case_;
  Loaded loaded_;
  Value tree_;
  std::string before_;
};

struct Seen {
  bool mapped = false;   ///< some report calls it exact or approximated
  bool dropped = false;  ///< some report drops it, with a reason
  bool shows = false;    ///< a manifest is another one without it
  std::string example;
};

/// Every attribute the cases use.
std::map<std::string, Seen> walk() {
  std::map<std::string, Seen> all;
  for (const std::string& name : case_names()) {
    if (read_case(name).fails) continue;
    const Ablation one{name};
    for (const Finding& finding : one.findings()) {
      Seen& seen = all[finding.attribute];
      if (finding.fate == Fate::dropped) {
        EXPECT_FALSE(finding.how.empty()) << name << ": " << finding.path;
        seen.dropped = true;
        continue;
      }
      seen.mapped = true;
      if (seen.shows || in_vain(finding.attribute)) continue;
      seen.shows = one.changes_something(finding);
      seen.example = name + ": " + finding.path;
    }
  }
  return all;
}

/// Whether rows of the table stand below this one: then it is a section, and those count.
bool is_section(const std::string& pattern) {
  for (const Attribute& row : attributes())
    if (row.pattern.size() > pattern.size() && row.pattern.starts_with(pattern) &&
        (row.pattern[pattern.size()] == '.' || row.pattern[pattern.size()] == '['))
      return true;
  return false;
}

/// A finding of the section above may speak for what is below ("healthcheck: no probe").
bool spoken_for(const std::map<std::string, Seen>& all, std::string pattern) {
  for (std::size_t end = pattern.size(); end != std::string::npos; end = pattern.find_last_of(".[", end - 1)) {
    const auto seen = all.find(pattern.substr(0, end));
    if (seen != all.end() && (end == pattern.size() || seen->second.dropped || in_vain(pattern))) return true;
  }
  return false;
}

TEST(Attributes, WhatTheReportCallsMappedIsSeenInAManifest) {
  for (const auto& [attribute, seen] : walk()) {
    if (!seen.mapped || in_vain(attribute) || find_attribute(attribute) == nullptr || is_section(attribute)) continue;
    EXPECT_TRUE(seen.shows) << attribute << " (" << seen.example
                            << "): the manifests are the same without it, and the report does not say that it is lost";
  }
}

TEST(Attributes, EachOfTheSpecificationIsUsedByACaseAndInItsReport) {
  const auto all = walk();
  std::vector<std::string> wanted;
  Value list;
  if (std::filesystem::exists(ATTRIBUTES) && yaml::from_json(read_text(ATTRIBUTES), list)) {
    for (const yaml::Entry& entry : list.get("attributes")->entries()) wanted.push_back(entry.key);
    EXPECT_GE(wanted.size(), 349U);
  } else {
    for (const Attribute& row : attributes()) wanted.emplace_back(row.pattern);
  }
  for (const std::string& attribute : wanted)
    EXPECT_TRUE(kLoaded.contains(attribute) || is_section(attribute) || spoken_for(all, attribute))
        << attribute << " is in no case's report";
  for (const std::string& attribute : kLoaded)
    EXPECT_FALSE(all.contains(attribute)) << attribute << " is there after loading";
}

}  // namespace
}  // namespace compose::kubernetes::test

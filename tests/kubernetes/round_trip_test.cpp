// Export, import, load again: the same project for every case, but for what the report named.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/strings.hpp"
#include "case.hpp"
#include "compose/kubernetes/import.hpp"
#include "compose/kubernetes/tree.hpp"
#include "compose/load/fake_files.hpp"
#include "compose/model/from_tree.hpp"
#include "yaml/parse.hpp"
#include "yaml/write.hpp"

namespace compose::kubernetes::test {
namespace {

/// One way to write what can be written in several: the older keys of deploy, Docker's own numbers, order of lists that
/// have none.
void settle(model::Service& service) {
  model::Deploy deploy = service.deploy.value_or(model::Deploy{});
  model::ResourceLimits limits = deploy.limits.value_or(model::ResourceLimits{});
  if (!limits.cpus && service.cpus) limits.cpus = service.cpus;
  if (!limits.cpus && service.cpu_quota.value_or(0) > 0)
    limits.cpus = static_cast<double>(*service.cpu_quota) / static_cast<double>(service.cpu_period.value_or(100'000));
  if (!limits.memory) limits.memory = service.mem_limit;
  model::ResourceReservations requests = deploy.reservations.value_or(model::ResourceReservations{});
  if (!requests.cpus && service.cpu_shares.value_or(0) > 0)
    requests.cpus = static_cast<double>(*service.cpu_shares) / 1024;
  if (!requests.memory) requests.memory = service.mem_reservation;
  deploy.limits.reset();
  deploy.reservations.reset();
  if (limits.cpus || limits.memory || limits.pids) deploy.limits = limits;
  if (requests.cpus || requests.memory || !requests.devices.empty()) deploy.reservations = requests;
  deploy.replicas.reset();
  if (service.replicas() != 1) deploy.replicas = service.replicas();
  service.scale.reset();
  service.cpus.reset();
  service.mem_limit.reset();
  service.mem_reservation.reset();
  if (deploy.mode == "replicated") deploy.mode.clear();
  if (deploy.endpoint_mode == "vip") deploy.endpoint_mode.clear();
  if (deploy.update_config) {
    if (deploy.update_config->order == "stop-first") deploy.update_config->order.clear();
    if (deploy.update_config->parallelism == std::uint64_t{1}) deploy.update_config->parallelism.reset();
    if (*deploy.update_config == model::UpdateConfig{}) deploy.update_config.reset();
  }
  if (deploy.placement) {
    for (std::string& line : deploy.placement->constraints) std::erase(line, ' ');
    std::sort(deploy.placement->constraints.begin(), deploy.placement->constraints.end());
  }
  service.deploy = deploy;
  if (*service.deploy == model::Deploy{}) service.deploy.reset();
  for (Strings* list : {&service.cap_add, &service.cap_drop}) {
    for (std::string& name : *list) {
      for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      if (name.starts_with("CAP_")) name.erase(0, 4);
    }
    std::sort(list->begin(), list->end());
  }
  for (std::string& option : service.security_opt) {
    const std::size_t at = option.find(':');
    if (at < option.find('=')) option[at] = '=';
    if (option == "no-new-privileges") option = "no-new-privileges=true";
  }
  std::sort(service.security_opt.begin(), service.security_opt.end());
  if (service.healthcheck) {
    model::Healthcheck& check = *service.healthcheck;
    using std::chrono::seconds;
    if (check.interval == Duration{seconds{30}}) check.interval.reset();
    if (check.timeout == Duration{seconds{30}}) check.timeout.reset();
    if (check.start_interval == Duration{seconds{5}}) check.start_interval.reset();
    if (check.retries == std::uint64_t{3}) check.retries.reset();
  }
  const auto by_target = [](const auto& a, const auto& b) { return a.target < b.target; };
  for (auto* references : {&service.configs, &service.secrets})
    for (model::FileReference& reference : *references) {
      const bool secret = references == &service.secrets;
      if (reference.target.empty()) reference.target = (secret ? "" : "/") + reference.source;
      if (!reference.target.starts_with('/')) reference.target = (secret ? "/run/secrets/" : "/") + reference.target;
    }
  std::sort(service.configs.begin(), service.configs.end(), by_target);
  std::sort(service.secrets.begin(), service.secrets.end(), by_target);
  std::sort(service.volumes.begin(), service.volumes.end(), by_target);
  std::sort(service.ports.begin(), service.ports.end(), [](const auto& a, const auto& b) {
    return std::tie(a.mode, a.published, a.protocol) < std::tie(b.mode, b.published, b.protocol);
  });
  for (model::Mount& mount : service.volumes) mount.volume.nocopy = false;  // a claim is never filled from the image
  for (auto& [name, network] : service.networks) std::sort(network.aliases.begin(), network.aliases.end());
  std::erase_if(service.environment, [](const auto& one) { return !one.second; });
  if (service.schedule && service.schedule->timezone == "Etc/UTC") service.schedule->timezone.clear();
  if (service.schedule && service.schedule->overlap == "skip") service.schedule->overlap.clear();
  if (service.schedule && service.schedule->missed == "skip") service.schedule->missed.clear();
  service.profiles.clear();  // chosen when the files were loaded
}

Value settled_tree(model::Project project) {
  for (auto& [name, service] : project.services) settle(service);
  project.positions = {};
  return model::tree_of(project);
}

/// Paths that differ, the deepest that tell.
void compare(const Value* before, const Value* after, const std::string& path, std::set<std::string>& differences) {
  if (before != nullptr && after != nullptr) {
    if (before->same_as(*after)) return;
    if (before->is_mapping() && after->is_mapping()) {
      for (const yaml::Entry& entry : before->entries())
        compare(&entry.value, after->get(entry.key), path.empty() ? entry.key : path + "." + entry.key, differences);
      for (const yaml::Entry& entry : after->entries())
        if (before->get(entry.key) == nullptr)
          compare(nullptr, &entry.value, path.empty() ? entry.key : path + "." + entry.key, differences);
      return;
    }
    if (before->is_sequence() && after->is_sequence() && before->items().size() == after->items().size()) {
      for (std::size_t i = 0; i < before->items().size(); ++i)
        compare(&before->items()[i], &after->items()[i], fmt::format("{}[]", path), differences);
      return;
    }
  }
  for (const Value* one : {before, after}) {
    const Value* other = one == before ? after : before;
    if (one == nullptr || other != nullptr || !one->is_mapping() || one->entries().empty()) continue;
    for (const yaml::Entry& entry : one->entries())
      compare(one == before ? &entry.value : nullptr, one == after ? &entry.value : nullptr, path + "." + entry.key,
              differences);
    return;
  }
  const auto says_nothing = [](const Value* one) {
    return one == nullptr || one->is_null() || (one->is_mapping() && one->entries().empty());
  };
  if (says_nothing(before) && says_nothing(after)) return;
  differences.insert(path);
}

std::string without_indices(const std::string& path) {
  std::string out;
  bool inside = false;
  for (const char c : path) {
    if (c == ']') inside = false;
    if (!inside) out += c;
    if (c == '[') inside = true;
  }
  return out;
}

/// Whether the report says that what is at this path, above it or in its list is not the same.
bool named(const std::vector<Finding>& findings, const std::string& path) {
  for (const Finding& finding : findings) {
    if (finding.fate == Fate::exact) continue;
    const std::string known = without_indices(finding.path);
    if (path == known || path.starts_with(known + ".") || path.starts_with(known + "[") ||
        known.starts_with(path + "["))
      return true;
  }
  // Volumes of others are written out.
  if (const std::size_t at = path.rfind(".volumes"); at != std::string::npos && at + 8 == path.size())
    for (const Finding& finding : findings)
      if (finding.fate != Fate::exact && finding.path == path + "_from") return true;
  // A secret or config whose source is not in the cluster is there all the same: it is external.
  for (const char* section : {"secrets.", "configs."}) {
    if (!path.starts_with(section) ||
        (!path.ends_with(".external") && !path.ends_with(".name") && !path.ends_with(".content")))
      continue;
    const std::string parent = path.substr(0, path.rfind('.'));
    for (const Finding& finding : findings)
      if (finding.fate != Fate::exact && finding.path.starts_with(parent + ".")) return true;
  }
  return false;
}

model::Project again(const Export& exported, const Case& one) {
  std::vector<Value> objects;
  for (const yaml::Document& document : yaml::parse(stream_of(exported), 1).documents) objects.push_back(document.root);
  auto imported = import_objects(objects);
  EXPECT_TRUE(imported.ok()) << (imported.ok() ? "" : imported.error().message());
  if (!imported.ok()) return {};
  yaml::WriteOptions options;
  options.double_dollar = true;
  const std::string text = yaml::to_yaml(imported->project, options);
  load::FakeFiles files{{one.directory + "/imported.yaml", text}};
  load::Options wanted;
  wanted.working_dir = one.directory;
  wanted.files = {one.directory + "/imported.yaml"};
  const load::LoadResult loaded = load::load(wanted, files);
  EXPECT_TRUE(loaded.project) << loaded.report() << text;
  return loaded.project.value_or(model::Project{});
}

class RoundTrip : public testing::TestWithParam<std::string> {};

TEST_P(RoundTrip, GivesTheSameProjectButForWhatTheReportNames) {
  const Case one = read_case(GetParam());
  if (one.fails) return;  // nothing is exported
  const Loaded loaded = export_case(one);
  ASSERT_TRUE(loaded.result.project);
  const Value before = settled_tree(*loaded.result.project);
  const Value after = settled_tree(again(loaded.exported, one));
  std::set<std::string> differences;
  compare(&before, &after, "", differences);
  for (const std::string& path : differences)
    EXPECT_TRUE(named(loaded.exported.findings, path)) << path << " is not the same and the report does not say so";
}

INSTANTIATE_TEST_SUITE_P(Cases, RoundTrip, testing::ValuesIn(case_names()), [](const auto& parameter) {
  std::string name = parameter.param;
  for (char& c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  return name;
});

Result<Imported> import_text(const std::string& text) {
  std::vector<Value> objects;
  for (const yaml::Document& document : yaml::parse(text, 1).documents) objects.push_back(document.root);
  return import_objects(objects);
}

TEST(Import, WhatComposeDidNotWriteIsRefused) {
  const auto nothing = import_text("kind: ConfigMap\nmetadata: {name: a}\n");
  ASSERT_FALSE(nothing.ok());
  EXPECT_NE(nothing.error().message().find("there is no Deployment"), std::string::npos);
  const auto foreign =
      import_text("kind: Deployment\nmetadata: {name: a}\nspec: {template: {spec: {containers: []}}}\n");
  ASSERT_FALSE(foreign.ok());
  EXPECT_NE(foreign.error().message().find("nothing in it was exported by compose"), std::string::npos);
}

TEST(Import, OddShapesAreAnErrorNotACrash) {
  const std::string head =
      "kind: Deployment\nmetadata: {name: a, labels: {app.kubernetes.io/managed-by: compose, "
      "app.kubernetes.io/part-of: p}}\n";
  for (const char* spec : {"spec: {template: 1}", "spec: {template: {spec: {containers: 1}}}", "spec: {template: {}}",
                           "spec: {template: {spec: {containers: [{name: 1, env: 2}]}}, replicas: x}",
                           "spec: {template: {spec: {containers: [{name: a, volumeMounts: 1}]}}}",
                           "spec: {template: {spec: {nodeSelector: [1], containers: [{name: a}]}}}"}) {
    const auto imported = import_text(head + spec + "\n");
    EXPECT_FALSE(imported.ok()) << spec;
  }
}

}  // namespace
}  // namespace compose::kubernetes::test

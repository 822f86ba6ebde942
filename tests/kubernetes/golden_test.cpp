// Every folder of cases/ through the export: the manifests are those that are expected, and each holds to Kubernetes'
// own schema. With COMPOSE_UPDATE_GOLDEN=1 what is expected is written anew; read the difference before you commit it.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "case.hpp"
#include "compose/kubernetes/tree.hpp"
#include "schema_check.hpp"

namespace compose::kubernetes::test {
namespace {

namespace fs = std::filesystem;

bool updating() { return std::getenv("COMPOSE_UPDATE_GOLDEN") != nullptr; }

std::string problems_text(const Export& exported) {
  std::string text;
  for (const Problem& problem : exported.problems)
    text += fmt::format("{}:{}: {}\n", problem.pos.file, problem.pos.line, problem.message);
  return text;
}

// The report as people read it stands beside the folder; report.json says the same and would double it.
Folder expected_of(const Case& one, const Loaded& base) {
  std::string report = report_text(base.exported.findings, true);
  for (const std::string& warning : base.exported.warnings) report += "warning: " + warning + "\n";
  if (one.fails) {
    std::string text = problems_text(base.exported);
    for (std::size_t at = text.find(one.directory); at != std::string::npos; at = text.find(one.directory))
      text.replace(at, one.directory.size(), "$DIR");
    return {{"problems.txt", text}};
  }
  Folder folder = folder_of_case(one, base.exported, base.result.project_name);
  std::erase_if(folder, [](const auto& file) { return file.first.ends_with("report.json"); });
  folder["report.txt"] = report;
  for (auto& [name, text] : folder)
    for (std::size_t at = text.find(one.directory); at != std::string::npos; at = text.find(one.directory))
      text.replace(at, one.directory.size(), "$DIR");
  return folder;
}

Folder read_folder(const std::string& path) {
  Folder folder;
  if (!fs::exists(path)) return folder;
  for (const auto& entry : fs::recursive_directory_iterator(path))
    if (entry.is_regular_file())
      folder[entry.path().lexically_relative(path).string()] = read_text(entry.path().string());
  return folder;
}

void write_folder(const std::string& path, const Folder& folder) {
  fs::remove_all(path);
  for (const auto& [name, text] : folder) {
    fs::create_directories(fs::path(path + "/" + name).parent_path());
    std::ofstream(path + "/" + name, std::ios::binary) << text;
  }
}

class Golden : public testing::TestWithParam<std::string> {};

TEST_P(Golden, TheManifestsAreThoseExpected) {
  const Case one = read_case(GetParam());
  const Loaded base = export_case(one);
  ASSERT_TRUE(base.result.project) << base.result.report();
  EXPECT_EQ(base.exported.problems.empty(), !one.fails) << problems_text(base.exported);
  const Folder made = expected_of(one, base);
  const std::string path = one.folder + "/expected";
  if (updating()) write_folder(path, made);
  const Folder expected = read_folder(path);
  for (const auto& [name, text] : made) {
    ASSERT_TRUE(expected.contains(name)) << "new: " << name << "\n" << text;
    EXPECT_EQ(text, expected.at(name)) << name << ": run with COMPOSE_UPDATE_GOLDEN=1 and read the difference";
  }
  for (const auto& [name, text] : expected) EXPECT_TRUE(made.contains(name)) << name << " is not made any more";
}

TEST_P(Golden, EveryManifestHoldsToTheSchema) {
  const Case one = read_case(GetParam());
  if (one.fails) return;
  std::vector<Export> all;
  all.push_back(export_case(one).exported);
  for (const auto& [name, file] : one.overlays) all.push_back(export_case(one, file).exported);
  for (const std::string& profile : one.profile_overlays) all.push_back(export_case(one, {}, profile).exported);
  for (const Export& exported : all) {
    std::set<std::string> names;
    EXPECT_FALSE(exported.manifests.empty());
    for (const Manifest& manifest : exported.manifests) {
      const std::string name =
          text_at(manifest.object, {"kind"}) + "/" + text_at(manifest.object, {"metadata", "name"});
      EXPECT_TRUE(names.insert(name).second) << name << " twice";
      for (const std::string& problem : check_object(manifest.object)) ADD_FAILURE() << name << ": " << problem;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, Golden, testing::ValuesIn(case_names()), [](const auto& parameter) {
  std::string name = parameter.param;
  for (char& c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  return name;
});

TEST(GoldenCases, AreAtLeastForty) { EXPECT_GE(case_names().size(), 40U); }

}  // namespace
}  // namespace compose::kubernetes::test

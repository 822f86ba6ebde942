#pragma once
// One folder of cases/: Compose files, what was asked for, and what is expected.
#include <string>
#include <vector>

#include "compose/kubernetes/export.hpp"
#include "compose/kubernetes/folder.hpp"
#include "compose/load/load.hpp"

namespace compose::kubernetes::test {

/// cases/NAME/options, one a line: "directory PATH" (of the Compose files, relative to the case), "file NAME",
/// "profile NAME", "embed-secrets", "directories config-map", "shared-volumes rwx", "overlay NAME=FILE",
/// "profile-overlay NAME", "image SERVICE expose=80/tcp user=33:33 volume=/data pinned=…", "fails" (problems expected).
struct Case {
  std::string name;
  std::string folder;     ///< cases/NAME
  std::string directory;  ///< of the Compose files
  std::vector<std::string> files;
  std::vector<std::string> profiles;
  std::vector<std::pair<std::string, std::string>> overlays;
  std::vector<std::string> profile_overlays;
  Options options;
  bool fails = false;
};

std::vector<std::string> case_names();
Case read_case(const std::string& name);

struct Loaded {
  load::LoadResult result;
  Export exported;
};
/// Loads and exports; `extra` is one more -f file, `profile` one more profile, `name` the project's name.
Loaded export_case(const Case& one, const std::string& extra = {}, const std::string& profile = {},
                   const std::string& name = {});
Folder folder_of_case(const Case& one, const Export& base, const std::string& project);

std::string read_text(const std::string& path);

}  // namespace compose::kubernetes::test

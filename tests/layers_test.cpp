// Which module may include which: the table below is the architecture, and this test holds the code to it.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace compose {
namespace {

namespace fs = std::filesystem;

using Modules = std::set<std::string>;

// A module may include itself and what stands here; a module is the longest of these prefixes of a file's path.
const std::map<std::string, Modules> kMayInclude = {
    {"src/base", {}},
    {"src/sys", {"src/base"}},
    {"src/yaml", {"src/base"}},
    {"src/async", {"src/base", "src/sys"}},
    {"src/http", {"src/base"}},
    {"compose", {"src/base", "src/yaml"}},
    {"net/endpoint", {"src/base", "src/sys"}},
    {"net", {"src/base", "src/sys", "src/async", "net/endpoint"}},
    {"runtime", {"src/base", "src/sys", "net/endpoint"}},
    {"src/image", {"src/base", "src/sys", "src/yaml", "src/http"}},
    {"src/build", {"src/base", "src/sys", "src/http", "src/image", "compose", "runtime", "net", "net/endpoint"}},
    {"src/state", {"src/base", "src/sys", "compose"}},
    {"src/container", {"src/base", "src/sys", "src/image", "src/state", "compose", "runtime", "net", "net/endpoint"}},
    {"src/supervisor/policy", {"src/base", "src/sys", "compose"}},
    {"src/supervisor",
     {"src/base", "src/sys", "src/async", "src/state", "src/image", "src/container", "src/supervisor/policy", "compose",
      "runtime", "net", "net/endpoint"}},
    {"src/cli",
     {"src/base", "src/sys", "src/async", "src/yaml", "src/state", "src/image", "src/build", "src/container",
      "src/supervisor", "src/supervisor/policy", "compose", "runtime", "net", "net/endpoint"}},
};

// A library that throws or compiles slowly is included in its adapter alone.
const std::map<std::string, Modules> kAdapters = {
    {"yaml-cpp/", {"src/yaml"}},
    {"boost/asio", {"src/async"}},
    {"boost/beast", {"src/http"}},
    {"openssl/", {"src/base", "src/http"}},
    {"CLI/", {"src/cli"}},
};

std::string module_of(const std::string& path) {
  std::string best;
  for (const auto& [module, allowed] : kMayInclude) {
    if (path.starts_with(module + "/") && module.size() > best.size()) best = module;
  }
  return best;
}

// The path in the repository of what `#include "name"` names, or nothing when it is not ours.
std::string resolve(const fs::path& root, const std::string& name) {
  for (const std::string prefix : {"", "src/"}) {
    if (fs::exists(root / (prefix + name))) return prefix + name;
  }
  return {};
}

std::vector<fs::path> sources(const fs::path& root) {
  std::vector<fs::path> files;
  for (const char* top : {"src", "compose", "runtime", "net"}) {
    if (!fs::exists(root / top)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / top)) {
      const auto extension = entry.path().extension();
      if (extension == ".hpp" || extension == ".cpp") files.push_back(entry.path());
    }
  }
  return files;
}

std::string included_name(const std::string& line) {
  if (!line.starts_with("#include ")) return {};
  const auto begin = line.find_first_of("\"<");
  const auto end = line.find_first_of("\">", begin + 1);
  return begin == std::string::npos || end == std::string::npos ? std::string{}
                                                                : line.substr(begin + 1, end - begin - 1);
}

TEST(Layers, EveryIncludePointsDownwards) {
  const fs::path root = COMPOSE_SOURCE_DIR;
  std::size_t seen = 0;
  for (const auto& file : sources(root)) {
    const std::string path = fs::relative(file, root).string();
    const std::string module = module_of(path);
    ASSERT_FALSE(module.empty()) << path << " belongs to no module of the table";
    const bool is_test = path.ends_with("_test.cpp") || path.ends_with("_fuzz.cpp");
    std::ifstream in{file};
    int number = 0;
    for (std::string line; std::getline(in, line);) {
      ++number;
      const std::string name = included_name(line);
      if (name.empty()) continue;
      ++seen;
      for (const auto& [library, adapters] : kAdapters) {
        EXPECT_FALSE(name.starts_with(library) && !adapters.contains(module))
            << path << ":" << number << " includes " << name << "; only its adapter may";
      }
      const std::string target = resolve(root, name);
      if (target.empty() || target.starts_with("tests/") || is_test) continue;
      const std::string other = module_of(target);
      EXPECT_TRUE(other == module || kMayInclude.at(module).contains(other))
          << path << ":" << number << ": " << module << " may not include " << target;
    }
  }
  EXPECT_GT(seen, 50U);
}

}  // namespace
}  // namespace compose

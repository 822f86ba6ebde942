// The YAML reader beside yaml-cpp: whatever both read, they read alike, value by value and place by place. yaml-cpp is
// the yardstick here and not the reader, because it is too slow and has no bounds (src/yaml/CMakeLists.txt).
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "yaml/parse.hpp"
#include "yaml/scalar.hpp"

namespace compose::yaml {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The first difference below `path`, or nothing. Merge keys are resolved by our reader and not by yaml-cpp, so what
// they bring is left out.
class Comparison {
 public:
  explicit Comparison(std::string_view text) : text_{text} {
    only_ascii_ = std::all_of(text.begin(), text.end(), [](char c) { return static_cast<signed char>(c) >= 0; });
  }

  std::string difference(const Value& ours, const YAML::Node& theirs, const std::string& path) {
    if (const Mapping* mapping = ours.if_mapping()) return mappings(*mapping, theirs, path);
    if (const Sequence* items = ours.if_sequence()) {
      if (!theirs.IsSequence() || theirs.size() != items->size()) return path + ": not the same list";
      for (std::size_t i = 0; i < items->size(); ++i) {
        const std::string found = difference((*items)[i], theirs[i], path + "[" + std::to_string(i) + "]");
        if (!found.empty()) return found;
      }
      return {};
    }
    return scalars(ours, theirs, path);
  }

  std::size_t compared = 0;

 private:
  std::string mappings(const Mapping& ours, const YAML::Node& theirs, const std::string& path) {
    if (!theirs.IsMap()) return path + ": not a mapping there";
    bool merges = false;
    for (const auto& entry : theirs) {
      const std::string key = entry.first.Scalar();
      if (key == "<<" && entry.first.Tag() != "!") {
        merges = true;
        continue;
      }
      const Value* value = ours.get(key);
      if (value == nullptr) return path + ": " + key + " is not here";
      const std::string found = difference(*value, entry.second, path + "." + key);
      if (!found.empty()) return found;
    }
    return merges || ours.size() == theirs.size() ? std::string() : path + ": more keys here";
  }

  std::string scalars(const Value& ours, const YAML::Node& theirs, const std::string& path) {
    ++compared;
    if (ours.tag == Tag::reset) return {};  // what stood there counts for nothing
    if (ours.is_null()) return theirs.IsNull() || theirs.Scalar().empty() ? std::string() : path + ": null here";
    if (!theirs.IsScalar()) return path + ": a scalar here";
    // Numbers and the like are told from strings by YAML 1.2's core schema here; yaml-cpp keeps the text.
    if (ours.is_string() && !ours.timestamp && ours.as_string() != theirs.Scalar()) {
      return path + ": \"" + ours.as_string() + "\" here, \"" + theirs.Scalar() + "\" there";
    }
    if (ours.is_bool() && ours.as_bool() != theirs.as<bool>(!ours.as_bool())) return path + ": another boolean there";
    const YAML::Mark mark = theirs.Mark();
    // Their place is that of the tag or anchor before the value.
    const char first = mark.pos >= 0 ? text_[static_cast<std::size_t>(mark.pos)] : '&';
    if (only_ascii_ && first != '&' && first != '!' && ours.place.known() &&
        (static_cast<int>(ours.place.line) != mark.line + 1 ||
         static_cast<int>(ours.place.column) != mark.column + 1)) {
      return path + ": at " + std::to_string(ours.place.line) + ":" + std::to_string(ours.place.column) + " here, " +
             std::to_string(mark.line + 1) + ":" + std::to_string(mark.column + 1) + " there";
    }
    return {};
  }

  std::string_view text_;
  bool only_ascii_ = true;  // yaml-cpp counts characters, we count bytes
};

struct Tally {
  std::size_t files = 0;
  std::size_t scalars = 0;
};

void compare(const fs::path& path, Tally& tally) {
  const std::string text = read(path);
  const Parsed ours = parse(text, 1);
  if (!ours.issues.empty()) return;  // it refuses more on purpose: equal keys, tabs, bounds
  std::vector<YAML::Node> theirs;
  try {
    theirs = YAML::LoadAll(text);
  } catch (const YAML::Exception&) {
    return;
  }
  std::erase_if(theirs, [](const YAML::Node& node) { return node.IsNull(); });
  Comparison comparison(text);
  std::size_t at = 0;
  for (const Document& document : ours.documents) {
    if (document.root.is_null()) continue;
    ASSERT_LT(at, theirs.size()) << path;
    EXPECT_EQ(comparison.difference(document.root, theirs[at++], ""), "") << path;
  }
  tally.files += 1;
  tally.scalars += comparison.compared;
}

Tally compare_all(const fs::path& folder) {
  Tally tally;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string extension = entry.path().extension();
    if (entry.is_regular_file() && (extension == ".yaml" || extension == ".yml")) compare(entry.path(), tally);
  }
  return tally;
}

TEST(YamlBesideYamlCpp, ExamplesReadAlike) {
  const Tally tally = compare_all(COMPOSE_EXAMPLES);
  EXPECT_GE(tally.files, 4U);
  EXPECT_GE(tally.scalars, 100U);
}

TEST(YamlBesideYamlCpp, SharedCorpusReadsAlike) {
  if (!fs::exists(COMPOSE_CORPUS)) GTEST_SKIP() << "no shared corpus beside this checkout";
  const Tally tally = compare_all(COMPOSE_CORPUS);
  EXPECT_GE(tally.files, 1000U);
  EXPECT_GE(tally.scalars, 6000U);
}

}  // namespace
}  // namespace compose::yaml

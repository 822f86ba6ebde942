// Over every case of the corpus that loads: each scalar of the canonical project says where it comes from, the text
// at that place is the one it was made of, and the typed project survives the way through JSON.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/strings.hpp"
#include "base/units.hpp"
#include "compose/load/config_command.hpp"
#include "compose/load/disk_files.hpp"
#include "compose/load/paths.hpp"
#include "yaml/parse.hpp"
#include "yaml/scalar.hpp"
#include "yaml/write.hpp"

namespace compose::load {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The scalar that starts at a place: its text without quotes; for a plain one, up to what may end it.
std::string token_at(const Sources& sources, const Place& place) {
  std::string_view text = sources.text(place.source);
  for (std::uint32_t line = 1; line < place.line; ++line) text.remove_prefix(text.find('\n') + 1);
  if (place.column == 0 || place.column > text.size() + 1) return {};
  text.remove_prefix(place.column - 1);
  if (text.starts_with('\'') || text.starts_with('"')) {
    std::size_t end = 1;
    while (end < text.size() && (text[end] != text[0] || text.substr(end, 2) == "''")) {
      end += text[end] == '\\' && text[0] == '"' ? 2 : text.substr(end, 2) == "''" && text[0] == '\'' ? 2 : 1;
    }
    const yaml::Parsed scalar = yaml::parse(text.substr(0, end + 1), 1);
    if (scalar.documents.size() == 1) return yaml::scalar_text(scalar.documents[0].root);
  }
  return std::string(text.substr(0, 3000));
}

// Letters and digits only: block texts are folded and unindented on the way.
std::string bare(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) out += c;
  }
  return out;
}

bool has_rule(const LoadResult& loaded, const Value& value, std::string_view rule) {
  for (const Trace* step = loaded.traces.get(value.trace); step != nullptr; step = loaded.traces.get(step->previous)) {
    if (step->rule == rule) return true;
  }
  return false;
}

std::string plain_end(const std::string& token) {
  auto end = token.find_first_of(",]}#\n");
  return std::string(trim(std::string_view(token).substr(0, end)));
}

// Whether the text of the file is the one the value was made of.
bool comes_from(const LoadResult& loaded, const Value& value, const std::string& path, const std::string& token) {
  const std::string text = yaml::scalar_text(value);
  const std::string plain = plain_end(token);
  if (text.empty() || token.find(text) != std::string::npos) return true;
  if (has_rule(loaded, value, "interpolated")) return token.find('$') != std::string::npos;
  if (has_rule(loaded, value, "environment"))
    return token.find(text.substr(0, text.find('='))) != std::string::npos || !token.empty();
  if (has_rule(loaded, value, "path")) {
    const std::string last = base_name(text);
    return token.find(last) != std::string::npos || token.starts_with('.') || token.starts_with('~');
  }
  if (yaml::scalar_text(yaml::resolve_plain(plain)) == text) return true;
  // Other words for the same value, and what is made of a whole mapping.
  constexpr std::pair<std::string_view, std::string_view> kWords[] = {
      {"-1", "all"}, {"true", "yes"}, {"true", ":ro"}, {"true", "nocopy"}, {"missing", "if_not_present"},
      {"true", "{"}};
  for (const auto& [value_text, written] : kWords) {
    if (text == value_text && plain.find(written) != std::string::npos) return true;
  }
  if (plain.find('$') != std::string::npos || path.ends_with("." + plain)) return true;
  if (plain.starts_with("0o") && text == "0" + plain.substr(2)) return true;
  if (text.starts_with('/') && bare(token).find(bare(text)) != std::string::npos) return true;
  if (bare(token).starts_with(bare(text.substr(0, 40)))) return true;
  // The words of a command line, with its quotes and escapes.
  if (path.find(".command[") != std::string::npos && token.find(text.substr(0, 4)) != std::string::npos) return true;
  if (token.starts_with('|') || token.starts_with('>')) return bare(token).find(bare(text)) != std::string::npos;
  // One of a range of ports, one of several addresses of a host.
  if (is_digits(text) && plain.find('-') != std::string::npos) return true;
  const std::string value_part = text.substr(text.find('=') + 1);
  if (token.find(value_part) != std::string::npos) return true;
  for (std::string_view part : {std::string_view(plain), std::string_view(token)}) {
    if (const auto equals = part.find('='); equals != std::string_view::npos) part = part.substr(equals + 1);
    if (const auto bytes = parse_bytes(part); bytes && std::to_string(*bytes) == text) return true;
    if (const auto span = parse_duration(part); span && format_duration(*span) == text) return true;
    const auto number = yaml::parse_float(part);
    if (number && yaml::go_float32(static_cast<float>(*number)) == text) return true;
  }
  return false;
}

class Walk {
 public:
  Walk(const LoadResult& loaded, std::vector<std::string>& wrong) : loaded_{loaded}, wrong_{wrong} {}
  std::size_t checked = 0;

  void value(const Value& value, const Path& path, const Place& key) {
    if (const Mapping* mapping = value.if_mapping()) {
      for (const Entry& entry : *mapping) this->value(entry.value, Path(path, entry.key), entry.key_place);
    } else if (const Sequence* items = value.if_sequence()) {
      std::size_t index = 0;
      for (const Value& item : *items) this->value(item, Path(path, index++), item.place.known() ? item.place : key);
    } else {
      scalar(value, path, key);
    }
  }

 private:
  void scalar(const Value& value, const Path& path, const Place& key) {
    const std::string name = path.to_string();
    if (name == "name") return;  // given by flag, environment, file or folder
    if (value.is_null()) return;
    ++checked;
    const Place place = value.place.known() ? value.place : key;
    const bool made = has_rule(loaded_, value, "default") || has_rule(loaded_, value, "short form");
    if (!place.known()) {
      if (!made) wrong_.push_back(name + ": neither a place nor a rule");
      return;
    }
    if (made) return;
    const std::string token = token_at(loaded_.sources, place);
    if (!comes_from(loaded_, value, name, token)) {
      wrong_.push_back(name + " = " + yaml::scalar_text(value) + " at " + loaded_.sources.describe(place) + ": " +
                       token.substr(0, 60));
    }
  }

  const LoadResult& loaded_;
  std::vector<std::string>& wrong_;
};

std::vector<fs::path> cases() {
  std::vector<fs::path> out;
  if (!fs::exists(COMPOSE_CORPUS)) return out;
  for (const auto& entry : fs::recursive_directory_iterator(COMPOSE_CORPUS)) {
    if (entry.path().filename() == "case.json") out.push_back(entry.path().parent_path());
  }
  return out;
}

ConfigRequest request_of(const fs::path& folder, const Value& description) {
  std::vector<std::string> arguments;
  for (const char* key : {"args", "config_args"}) {
    if (std::string(key) == "config_args") arguments.emplace_back("config");
    if (const Value* list = description.get(key)) {
      for (const Value& item : list->items()) arguments.push_back(yaml::scalar_text(item));
    }
  }
  std::map<std::string, std::string> env{{"HOME", "/home/corpus"}};
  if (const Value* all = description.get("env")) {
    for (const Entry& entry : all->entries()) env[entry.key] = yaml::scalar_text(entry.value);
  }
  std::string cwd = folder.string();
  if (const Value* inner = description.get("cwd")) cwd = join_path(cwd, yaml::scalar_text(*inner));
  auto request = parse_config_arguments(arguments, env, cwd);
  EXPECT_TRUE(request.ok());
  request->options.trace = true;
  return *request;
}

TEST(Provenance, EveryScalarOfTheCorpusPointsAtItsText) {
  const auto folders = cases();
  if (folders.empty()) GTEST_SKIP() << "no conformance corpus beside this checkout";
  std::vector<std::string> wrong;
  std::size_t checked = 0;
  for (const fs::path& folder : folders) {
    Value description;
    ASSERT_TRUE(yaml::from_json(read(folder / "case.json"), description));
    if (yaml::scalar_text(*description.get("expect")) != "ok" || description.get("stdin") != nullptr) continue;
    const ConfigRequest request = request_of(folder, description);
    DiskFiles files;
    const LoadResult loaded = load(request.options, files);
    std::vector<std::string> here;
    Walk walk(loaded, here);
    walk.value(loaded.canonical, Path{}, {});
    checked += walk.checked;
    for (const std::string& line : here) wrong.push_back(folder.filename().string() + ": " + line);
  }
  EXPECT_GT(checked, 1000U);
  EXPECT_EQ(wrong.size(), 0U) << join(wrong, "\n");
}

TEST(ProjectJson, EveryProjectOfTheCorpusComesBackEqual) {
  const auto folders = cases();
  if (folders.empty()) GTEST_SKIP() << "no conformance corpus beside this checkout";
  for (const fs::path& folder : folders) {
    Value description;
    ASSERT_TRUE(yaml::from_json(read(folder / "case.json"), description));
    if (yaml::scalar_text(*description.get("expect")) != "ok" || description.get("stdin") != nullptr) continue;
    const ConfigRequest request = request_of(folder, description);
    if (!request.options.interpolate || !request.options.consistency) continue;
    DiskFiles files;
    const LoadResult loaded = load(request.options, files);
    ASSERT_TRUE(loaded.project.has_value()) << folder << "\n" << loaded.report();
    const auto back = model::project_from_json(model::project_to_json(*loaded.project));
    ASSERT_TRUE(back.ok()) << folder << ": " << back.error().message();
    EXPECT_TRUE(*back == *loaded.project) << folder;
  }
}

TEST(Examples, TheWordPressStackLoadsWithEachOverride) {
  const fs::path folder = fs::path(COMPOSE_EXAMPLES) / "wordpress";
  if (!fs::exists(folder / "compose.yaml")) GTEST_SKIP() << "no example there";
  for (const char* over : {"compose.override.yaml", "staging.yaml", "prod.yaml"}) {
    if (!fs::exists(folder / over)) continue;
    Options options;
    options.working_dir = folder.string();
    options.files = {"compose.yaml", over};
    DiskFiles files;
    const LoadResult loaded = load(options, files);
    EXPECT_TRUE(loaded.ok()) << over << "\n" << loaded.report();
    EXPECT_TRUE(loaded.project.has_value());
  }
}

}  // namespace
}  // namespace compose::load

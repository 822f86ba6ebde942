#pragma once
// A small project as text, exported, and questions about what came out.
#include <gtest/gtest.h>

#include <string>

#include "base/strings.hpp"
#include "compose/kubernetes/export.hpp"
#include "compose/kubernetes/tree.hpp"
#include "compose/load/fake_files.hpp"
#include "compose/load/load.hpp"
#include "schema_check.hpp"
#include "yaml/write.hpp"

namespace compose::kubernetes::test {

/// A project, exported; each of its objects must hold to the schema.
class Mapped {
 public:
  explicit Mapped(const std::string& text, Options options = {}) {
    load::FakeFiles files{{"/p/compose.yaml", "name: p\n" + text}};
    load::Options wanted;
    wanted.working_dir = "/p";
    wanted.files = {"/p/compose.yaml"};
    const load::LoadResult loaded = load::load(wanted, files);
    EXPECT_TRUE(loaded.project) << loaded.report();
    if (loaded.project) exported_ = export_project(*loaded.project, options);
    if (!exported_.problems.empty()) return;  // what there is of them is not complete
    for (const Manifest& manifest : exported_.manifests)
      for (const std::string& problem : check_object(manifest.object)) ADD_FAILURE() << problem;
  }

  const Value* object(const std::string& kind, const std::string& name) const {
    for (const Manifest& manifest : exported_.manifests)
      if (text_at(manifest.object, {"kind"}) == kind && text_at(manifest.object, {"metadata", "name"}) == name)
        return &manifest.object;
    return nullptr;
  }
  bool has(const std::string& kind, const std::string& name) const { return object(kind, name) != nullptr; }

  /// What stands at keys and indices separated by "|", as JSON in one line; "none" when nothing does.
  std::string at(const std::string& kind, const std::string& name, const std::string& path) const {
    const Value* value = object(kind, name);
    for (const std::string& step : path.empty() ? Strings{} : split(path, '|')) {
      if (value == nullptr) break;
      if (value->is_sequence()) {
        const auto index = parse_unsigned(step);
        value = index && *index < value->items().size() ? &value->items()[*index] : nullptr;
      } else {
        value = value->get(step);
      }
    }
    return value == nullptr ? "none" : yaml::to_json(*value, {true, false, false});
  }
  std::string pod(const std::string& name, const std::string& path, const std::string& kind = "Deployment") const {
    return at(kind, name, "spec|template|spec|" + path);
  }
  std::string container(const std::string& name, const std::string& path,
                        const std::string& kind = "Deployment") const {
    return pod(name, "containers|0|" + path, kind);
  }
  std::string fate(const std::string& path) const {
    for (const Finding& finding : exported_.findings)
      if (finding.path == path) return fmt::format("{}: {}", fate_name(finding.fate), finding.how);
    return "not reported";
  }
  std::string problems() const {
    std::string all;
    for (const Problem& problem : exported_.problems)
      all += fmt::format("{}:{}: {}\n", problem.pos.file, problem.pos.line, problem.message);
    return all;
  }
  const Export& all() const { return exported_; }

 private:
  Export exported_;
};

inline Options choosing(void (*change)(Options&)) {
  Options options;
  change(options);
  return options;
}

/// One service "web" with these lines, each indented by four.
inline Mapped service(const std::string& lines, Options options = {}) {
  return Mapped("services:\n  web:\n    image: web\n" + lines, std::move(options));
}

}  // namespace compose::kubernetes::test

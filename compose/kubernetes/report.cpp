#include "compose/kubernetes/report.hpp"

#include <fmt/format.h>

#include <array>
#include <unordered_set>

#include "compose/model/from_tree.hpp"
#include "yaml/write.hpp"

namespace compose::kubernetes {

using yaml::Value;

// Walks the canonical tree and the patterns beside each other.
class Accounting {
 public:
  Accounting(const Report& report, const model::Project& project) : report_{report}, project_{project} {
    for (const Attribute& row : attributes()) {
      std::string_view pattern = row.pattern;
      for (std::size_t end = pattern.size(); end != std::string_view::npos;) {
        known_.insert(std::string{pattern.substr(0, end)});
        if (end < row.pattern.size() && row.pattern[end] == '.') sections_.emplace(pattern.substr(0, end));
        end = end == 0 ? std::string_view::npos : pattern.find_last_of(".[", end - 1);
      }
    }
  }

  std::vector<Finding> run() {
    walk(model::tree_of(project_), "", "");
    add_extensions();
    return std::move(findings_);
  }

 private:
  // Whether the value below has attributes of its own.
  bool descend(const Value& value, const std::string& path, const std::string& pattern) {
    if (const yaml::Mapping* mapping = value.if_mapping(); mapping != nullptr && !mapping->empty()) {
      bool any = false;
      for (const yaml::Entry& entry : *mapping) {
        const std::string prefix = pattern.empty() ? "" : pattern + ".";
        std::string next = prefix + entry.key;
        if (!known_.contains(next) || takes_names(pattern)) next = prefix + "<name>";
        if (!known_.contains(next)) {
          // What a variable holds is put into `content` when the project is loaded: nobody wrote it.
          if (sections_.contains(pattern) && !(pattern == "secrets.<name>" && entry.key == "content"))
            walk(entry.value, path + "." + entry.key, prefix + entry.key);
          continue;
        }
        walk(entry.value, path.empty() ? entry.key : path + "." + entry.key, next);
        any = true;
      }
      return any;
    }
    if (const yaml::Sequence* items = value.if_sequence(); items != nullptr && known_.contains(pattern + "[]")) {
      std::size_t index = 0;
      for (const Value& item : *items) walk(item, fmt::format("{}[{}]", path, index++), pattern + "[]");
      return index > 0;
    }
    return false;
  }

  bool takes_names(const std::string& pattern) const { return known_.contains(pattern + ".<name>"); }

  void walk(const Value& value, const std::string& path, const std::string& pattern) {
    const auto note = report_.notes_.find(path);
    if (note != report_.notes_.end()) {
      add(path, pattern, note->second.fate, note->second.how);
      if (note->second.fate != Fate::exact || value.is_scalar()) return;
    }
    if (descend(value, path, pattern) || note != report_.notes_.end()) return;
    const Attribute* row = find_attribute(pattern);
    if (row == nullptr &&
        (pattern.ends_with(".<name>") || pattern.ends_with("[]")))  // an empty entry: its section's row
      row = find_attribute(pattern.substr(0, pattern.find_last_of(".[")));
    if (row == nullptr) {
      add(path, pattern, Fate::dropped, "this version of compose does not know what becomes of it");
    } else {
      add(path, std::string{row->pattern}, row->fate, std::string{row->how});
    }
  }

  // "x-…" of the file and of its services, networks …: the model has only those that mean something to us.
  void add_extensions() {
    const Attribute* row = find_attribute("x-*");
    for (const auto& [path, pos] : project_.positions.all()) {
      const std::size_t section = path.find('.');
      const std::size_t last = path.rfind('.');
      const bool of_file = section == std::string::npos;
      const bool of_part = !of_file && last != section && path.find('.', section + 1) == last;
      if (!of_file && !of_part) continue;
      const std::string key = path.substr(of_file ? 0 : last + 1);
      const std::string above = of_file ? "" : path.substr(0, section) + ".<name>.";
      if (key.starts_with("x-") && key.find('[') == std::string::npos && !known_.contains(above + key))
        add(path, std::string{row->pattern}, row->fate, std::string{row->how});
    }
  }

  void add(const std::string& path, const std::string& attribute, Fate fate, std::string how) {
    findings_.push_back({path, attribute, project_.where(path), fate, std::move(how)});
  }

  const Report& report_;
  const model::Project& project_;
  std::unordered_set<std::string> known_;
  std::unordered_set<std::string> sections_;  ///< patterns whose parts have rows of their own
  std::vector<Finding> findings_;
};

std::vector<Finding> Report::findings(const model::Project& project) const { return Accounting(*this, project).run(); }

std::string_view fate_name(Fate fate) {
  constexpr std::array<std::string_view, 3> kNames = {"exact", "approximated", "dropped"};
  return kNames[static_cast<std::size_t>(fate)];
}

std::string report_text(const std::vector<Finding>& findings, bool all) {
  std::array<std::size_t, 3> counts{};
  std::string lines;
  for (const Finding& finding : findings) {
    ++counts[static_cast<std::size_t>(finding.fate)];
    if (finding.fate == Fate::exact && !all) continue;
    const std::string place =
        finding.pos.known() ? fmt::format("{}:{}", finding.pos.file, finding.pos.line) : std::string{"(default)"};
    lines += fmt::format("{}: {} {}{}{}\n", place, fate_name(finding.fate), finding.path,
                         finding.how.empty() ? "" : ": ", finding.how);
  }
  return lines + fmt::format("{} exact, {} approximated, {} dropped\n", counts[0], counts[1], counts[2]);
}

std::string report_json(const std::vector<Finding>& findings) {
  std::array<std::int64_t, 3> counts{};
  Value list = Value::sequence();
  for (const Finding& finding : findings) {
    ++counts[static_cast<std::size_t>(finding.fate)];
    Value item = Value::mapping();
    item.entries().set("path", Value::string(finding.path));
    if (finding.pos.known()) {
      item.entries().set("file", Value::string(finding.pos.file));
      item.entries().set("line", Value::integer(finding.pos.line));
    }
    item.entries().set("fate", Value::string(std::string{fate_name(finding.fate)}));
    item.entries().set("how", Value::string(finding.how));
    list.items().push_back(std::move(item));
  }
  Value out = Value::mapping();
  out.entries().set("exact", Value::integer(counts[0]));
  out.entries().set("approximated", Value::integer(counts[1]));
  out.entries().set("dropped", Value::integer(counts[2]));
  out.entries().set("findings", std::move(list));
  return yaml::to_json(out) + "\n";
}

}  // namespace compose::kubernetes

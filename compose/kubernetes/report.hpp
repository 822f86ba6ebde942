#pragma once
// The loss report: what became of every attribute the files use.
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "compose/model/project.hpp"
#include "yaml/value.hpp"

namespace compose::kubernetes {

enum class Fate : std::uint8_t {
  exact,         ///< means the same there
  approximated,  ///< comes near: `how` says what differs
  dropped,       ///< is lost: `how` says why and what to do
};

/// One row of the table of all attributes of the specification.
struct Attribute {
  std::string_view pattern;  ///< "services.<name>.ports[].target"
  Fate fate = Fate::exact;
  std::string_view how;
};
/// All of them; an attribute whose fate depends on its value stands here with what is usual.
std::span<const Attribute> attributes();
/// The row of a pattern, or nullptr.
const Attribute* find_attribute(std::string_view pattern);

struct Finding {
  std::string path;       ///< "services.web.ports[0].host_ip"
  std::string attribute;  ///< of the table: "services.<name>.ports[].host_ip"
  model::SourcePos pos;
  Fate fate = Fate::exact;
  std::string how;
};

class Report {
 public:
  // What the export decided for one path of the model; the later word on a path counts, and one that it is not
  // exact covers what is below.
  void exact(const std::string& path, std::string how) { notes_[path] = {Fate::exact, std::move(how)}; }
  void approximated(const std::string& path, std::string how) { notes_[path] = {Fate::approximated, std::move(how)}; }
  void dropped(const std::string& path, std::string how) { notes_[path] = {Fate::dropped, std::move(how)}; }

  /// Every attribute of the project in the order of the paths: with the note made for it, else with its table row.
  std::vector<Finding> findings(const model::Project& project) const;

 private:
  struct Note {
    Fate fate;
    std::string how;
  };
  friend class Accounting;
  std::map<std::string, Note> notes_;
};

std::string_view fate_name(Fate fate);
/// A table for people: "file:line", path, fate and how; one line each. Exact ones are only counted unless `all`.
std::string report_text(const std::vector<Finding>& findings, bool all);
/// {"exact":N,"approximated":N,"dropped":N,"findings":[{path,file,line,fate,how}…]}
std::string report_json(const std::vector<Finding>& findings);

}  // namespace compose::kubernetes

#pragma once
// A plan for people: what changes and why, attribute by attribute, and what is dangerous about it. Pure.
#include <string>
#include <vector>

#include "compose/plan/attributes.hpp"
#include "compose/plan/reconcile.hpp"

namespace compose::plan {

enum class Hazard : std::uint8_t { downtime, data_loss, exposed_port, secret_change };
std::string_view to_string(Hazard hazard);

struct HazardNote {
  Hazard kind{};
  std::string text;
  bool operator==(const HazardNote&) const = default;
};

/// What happens to one object: a container, a network, a volume.
struct Change {
  enum class Action : std::uint8_t { create, recreate, start, restart, stop, remove };
  Action action{};
  std::string object;  ///< "container", "network", "volume"
  std::string name;
  std::string service;
  std::string cause;
  std::string position;  ///< "file:line:col" of what it is made from, "" = unknown
  struct Attribute {
    AttributeChange change;
    std::string position;
  };
  std::vector<Attribute> attributes;
  std::vector<HazardNote> hazards;
};
std::string_view to_string(Change::Action action);

struct ExplainInput {
  const Plan& plan;
  const Observed& observed;
  const model::Project* project;                  ///< null: what exists is only taken away
  std::map<std::string, Attributes> made_from;    ///< container id -> what it was made from; unknown when missing
  std::map<std::string, Attributes> wanted;       ///< service -> what it is to be made from
  std::map<std::string, std::string> image_ids;   ///< container id -> image id
  std::map<std::string, std::string> new_images;  ///< service -> image id
};
std::vector<Change> explain(const ExplainInput& input);

/// For a terminal; `colour`: with ANSI colours. Ends with one line that counts.
std::string explain_text(const std::vector<Change>& changes, const Plan& plan, bool colour);
/// {"operations": […], "changes": […], "hazards": […], "warnings": […]}
std::string explain_json(const std::vector<Change>& changes, const Plan& plan);

}  // namespace compose::plan

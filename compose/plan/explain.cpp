#include "compose/plan/explain.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "compose/plan/graph.hpp"

namespace compose::plan {
namespace {

class Explainer {
 public:
  explicit Explainer(const ExplainInput& input) : in_{input} {}

  std::vector<Change> run() {
    for (const Op& op : in_.plan.ops) look_at(op);
    return std::move(changes_);
  }

 private:
  const Op* find(OpKind kind, const std::string& id) const {
    const auto found = std::ranges::find_if(
        in_.plan.ops, [&](const Op& op) { return op.kind == kind && op.container_id == id && !id.empty(); });
    return found == in_.plan.ops.end() ? nullptr : &*found;
  }
  bool replaced(const Op& op) const {
    return std::ranges::any_of(in_.plan.ops, [&](const Op& other) {
      return other.kind == OpKind::create_container && other.replaces == op.container_id && !op.container_id.empty();
    });
  }
  const ObservedContainer* observed(const std::string& id) const {
    const auto found = std::ranges::find(in_.observed.containers, id, &ObservedContainer::id);
    return found == in_.observed.containers.end() ? nullptr : &*found;
  }
  std::string at(const std::string& path) const {
    if (in_.project == nullptr) return "";
    // The nearest place that is known: of the attribute, of what it is part of, at last of the service.
    for (std::string place = path; !place.empty();) {
      const auto position = in_.project->where(place);
      if (position.known()) return position.to_string();
      const auto cut = place.find_last_of(".[");
      if (cut == std::string::npos) break;
      place.resize(cut);
    }
    return "";
  }

  Change& add(Change::Action action, const char* object, const Op& op, const std::string& path) {
    Change change;
    change.action = action;
    change.object = object;
    change.name = op.name;
    change.service = op.service;
    change.cause = op.cause;
    change.position = at(path);
    changes_.push_back(std::move(change));
    return changes_.back();
  }

  void look_at(const Op& op) {
    const std::string service = "services." + op.service;
    switch (op.kind) {
      case OpKind::create_network:
        add(Change::Action::create, "network", op, "networks." + op.key);
        break;
      case OpKind::remove_network:
        add(Change::Action::remove, "network", op, "");
        break;
      case OpKind::create_volume:
        add(Change::Action::create, "volume", op, "volumes." + op.key);
        break;
      case OpKind::remove_volume:
        add(Change::Action::remove, "volume", op, "")
            .hazards.push_back({Hazard::data_loss, fmt::format("volume \"{}\" is removed with its data", op.name)});
        break;
      case OpKind::create_container:
        look_at_creation(op);
        break;
      case OpKind::start_container:
      case OpKind::unpause_container:
        if (op.container_id.empty()) break;  // part of its creation
        add(find(OpKind::stop_container, op.container_id) != nullptr ? Change::Action::restart : Change::Action::start,
            "container", op, service);
        if (changes_.back().action == Change::Action::restart) add_downtime(changes_.back());
        break;
      case OpKind::remove_container:
        if (!replaced(op)) look_at_removal(op);
        break;
      case OpKind::stop_container:
      case OpKind::kill_container:
      case OpKind::pause_container:
        if (!replaced(op) && find(OpKind::remove_container, op.container_id) == nullptr &&
            find(OpKind::start_container, op.container_id) == nullptr) {
          add_downtime(add(Change::Action::stop, "container", op, service));
        }
        break;
      default:
        break;  // waiting and hooks change nothing by themselves
    }
  }

  void look_at_creation(const Op& op) {
    const ObservedContainer* old = observed(op.replaces);
    Change& change = add(old == nullptr ? Change::Action::create : Change::Action::recreate, "container", op,
                         "services." + op.service);
    if (old == nullptr) {
      add_ports(change, {}, op.service);
      return;
    }
    add_attributes(change, op, *old);
    if (is_up(*old)) add_downtime(change);
    const auto made = in_.made_from.find(old->id);
    if (made != in_.made_from.end()) add_ports(change, made->second, op.service);
    for (const auto& [target, volume] : old->anonymous_volumes) {
      if (op.anonymous_volumes.contains(target)) continue;
      change.hazards.push_back(
          {Hazard::data_loss, fmt::format("the anonymous volume at {} begins empty, its data is left behind", target)});
    }
  }

  void add_attributes(Change& change, const Op& op, const ObservedContainer& old) {
    const std::string service = "services." + op.service;
    const auto made = in_.made_from.find(old.id);
    const auto wanted = in_.wanted.find(op.service);
    if (made != in_.made_from.end() && wanted != in_.wanted.end()) {
      for (AttributeChange& one : changes_between(made->second, wanted->second)) {
        if (one.path.starts_with("secret ") && !one.before.empty()) {
          change.hazards.push_back({Hazard::secret_change, one.path + " changes"});
        }
        std::string position = at(service + "." + one.path);
        change.attributes.push_back({std::move(one), std::move(position)});
      }
    }
    const auto before = in_.image_ids.find(old.id);
    const auto after = in_.new_images.find(op.service);
    if (before != in_.image_ids.end() && after != in_.new_images.end() && before->second != after->second) {
      change.attributes.push_back({{"image (digest)", before->second, after->second}, at(service + ".image")});
    }
  }

  /// Ports that were not published before, and where they can be reached.
  void add_ports(Change& change, const Attributes& before, const std::string& name) {
    if (in_.project == nullptr) return;
    const auto service = in_.project->services.find(name);
    if (service == in_.project->services.end()) return;
    std::vector<std::string> known;
    for (const auto& [path, value] : before) {
      if (path.starts_with("ports[") && path.ends_with(".published")) known.push_back(value);
    }
    for (const model::Port& port : service->second.ports) {
      if (std::ranges::find(known, '"' + port.published + '"') != known.end()) continue;
      const bool everywhere = port.host_ip.empty() || port.host_ip == "0.0.0.0" || port.host_ip == "::";
      if (!everywhere) continue;
      change.hazards.push_back(
          {Hazard::exposed_port, fmt::format("port {} becomes reachable on all addresses of this machine",
                                             port.published.empty() ? "(any free one)" : port.published)});
    }
  }

  /// Unless another container of the service goes on meanwhile.
  void add_downtime(Change& change) {
    const model::Service* service = nullptr;
    if (in_.project != nullptr) {
      const auto known = in_.project->services.find(change.service);
      if (known != in_.project->services.end()) service = &known->second;
    }
    const bool start_first = service != nullptr && service->deploy && service->deploy->update_config &&
                             service->deploy->update_config->order == "start-first";
    if (start_first && change.action == Change::Action::recreate) return;
    const bool goes_on = std::ranges::any_of(in_.observed.containers, [&](const ObservedContainer& container) {
      return container.service == change.service && !container.one_off && container.state == State::running &&
             find(OpKind::stop_container, container.id) == nullptr &&
             find(OpKind::kill_container, container.id) == nullptr &&
             find(OpKind::pause_container, container.id) == nullptr;
    });
    if (goes_on) return;
    change.hazards.push_back({Hazard::downtime, fmt::format("{} does not answer meanwhile", change.service)});
  }

  void look_at_removal(const Op& op) {
    Change& change = add(Change::Action::remove, "container", op, "");
    const ObservedContainer* old = observed(op.container_id);
    if (old == nullptr) return;
    if (is_up(*old)) add_downtime(change);
    if (op.remove_volumes && !old->anonymous_volumes.empty()) {
      change.hazards.push_back({Hazard::data_loss, "its anonymous volumes go with it"});
    }
  }

  const ExplainInput& in_;
  std::vector<Change> changes_;
};

std::string_view sign(Change::Action action) {
  switch (action) {
    case Change::Action::create:
      return "+";
    case Change::Action::remove:
      return "-";
    case Change::Action::recreate:
      return "±";
    default:
      return "~";
  }
}

std::string_view colour_of(Change::Action action) {
  if (action == Change::Action::create) return "32";
  return action == Change::Action::remove ? "31" : "33";
}

std::string count_line(const std::vector<Change>& changes) {
  std::map<std::string_view, int> counts;
  std::map<std::string_view, int> hazards;
  for (const Change& change : changes) {
    ++counts[to_string(change.action)];
    for (const HazardNote& note : change.hazards) ++hazards[to_string(note.kind)];
  }
  std::string text;
  for (const char* action : {"create", "recreate", "start", "restart", "stop", "remove"}) {
    if (counts.contains(action)) text += fmt::format("{}{} to {}", text.empty() ? "" : ", ", counts[action], action);
  }
  std::string dangers;
  for (const auto& [name, count] : hazards)
    dangers += fmt::format("{}{} × {}", dangers.empty() ? "" : ", ", count, name);
  return "Plan: " + text + (dangers.empty() ? "" : "; hazards: " + dangers) + "\n";
}

}  // namespace

std::string_view to_string(Hazard hazard) {
  switch (hazard) {
    case Hazard::downtime:
      return "downtime";
    case Hazard::data_loss:
      return "data loss";
    case Hazard::exposed_port:
      return "newly exposed port";
    case Hazard::secret_change:
      return "secret change";
  }
  return "";
}

std::string_view to_string(Change::Action action) {
  switch (action) {
    case Change::Action::create:
      return "create";
    case Change::Action::recreate:
      return "recreate";
    case Change::Action::start:
      return "start";
    case Change::Action::restart:
      return "restart";
    case Change::Action::stop:
      return "stop";
    case Change::Action::remove:
      return "remove";
  }
  return "";
}

std::vector<Change> explain(const ExplainInput& input) { return Explainer{input}.run(); }

std::string explain_text(const std::vector<Change>& changes, const Plan& plan, bool colour) {
  if (plan.empty()) return "Nothing to do: what runs is what the files say.\n";
  const auto paint = [&](std::string_view code, const std::string& text) {
    return colour ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : text;
  };
  std::string text;
  for (const Change& change : changes) {
    text += paint(colour_of(change.action), fmt::format("{} {} {} {}", sign(change.action), to_string(change.action),
                                                        change.object, change.name));
    text += fmt::format(" ({}){}\n", change.cause, change.position.empty() ? "" : "  " + change.position);
    for (const auto& [attribute, position] : change.attributes) {
      text += fmt::format("    {}: {}{}\n", attribute.path, change_text(attribute),
                          position.empty() ? "" : "  " + position);
    }
    for (const HazardNote& note : change.hazards) {
      text += "    " + paint("31", fmt::format("! {}: {}", to_string(note.kind), note.text)) + "\n";
    }
  }
  text += "\nIn this order ([n]: after operation n):\n";
  std::string order = plan.to_text();
  for (std::size_t begin = 0; begin < order.size();) {
    const auto end = order.find('\n', begin);
    text += "    " + order.substr(begin, end - begin + 1);
    begin = end + 1;
  }
  return text + "\n" + count_line(changes);
}

std::string explain_json(const std::vector<Change>& changes, const Plan& plan) {
  using nlohmann::ordered_json;
  ordered_json object = ordered_json::parse(plan.to_json());
  ordered_json list = ordered_json::array();
  ordered_json hazards = ordered_json::array();
  for (const Change& change : changes) {
    ordered_json entry = {{"action", to_string(change.action)}, {"object", change.object}, {"name", change.name}};
    if (!change.service.empty()) entry["service"] = change.service;
    entry["cause"] = change.cause;
    if (!change.position.empty()) entry["position"] = change.position;
    entry["attributes"] = ordered_json::array();
    for (const auto& [attribute, position] : change.attributes) {
      const bool hidden = is_confidential(attribute.path);
      ordered_json one = {{"path", attribute.path}};
      one["old"] =
          attribute.before.empty() ? ordered_json(nullptr) : ordered_json(hidden ? "(not shown)" : attribute.before);
      one["new"] =
          attribute.after.empty() ? ordered_json(nullptr) : ordered_json(hidden ? "(not shown)" : attribute.after);
      if (!position.empty()) one["position"] = position;
      entry["attributes"].push_back(std::move(one));
    }
    entry["hazards"] = ordered_json::array();
    for (const HazardNote& note : change.hazards) {
      const ordered_json one = {{"kind", to_string(note.kind)}, {"text", note.text}};
      entry["hazards"].push_back(one);
      ordered_json again = one;
      again["name"] = change.name;
      hazards.push_back(std::move(again));
    }
    list.push_back(std::move(entry));
  }
  object["changes"] = std::move(list);
  object["hazards"] = std::move(hazards);
  return object.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace compose::plan

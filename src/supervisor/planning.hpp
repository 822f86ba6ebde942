#pragma once
// From requests (protocol.hpp) to plans: the supervisor's way, which --dry-run and `plan` go, too, from files alone.
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "compose/plan/reconcile.hpp"
#include "image/store.hpp"
#include "state/records.hpp"
#include "supervisor/application.hpp"

namespace compose::supervisor {

/// The options of an "apply" (start) or "create" request.
plan::Options apply_options(const nlohmann::json& request, bool start);

/// What a container is in a plan; `state` is told apart since a supervisor knows more than the record does.
plan::ObservedContainer observe_record(const state::ContainerRecord& record, plan::State state,
                                       const Application* application);

/// What a request would do now. Nothing is started, locked or written for it.
struct Preview {
  plan::Plan plan;
  plan::Observed observed;
  ApplicationPtr application;  ///< null for requests without a project
  std::vector<state::ContainerRecord> records;
  /// Services whose image is built first: whether that makes another image nobody knows yet.
  std::vector<std::string> to_build;
};

/// Null with `failure` set: the request would be refused.
std::unique_ptr<Preview> preview(const state::Paths& paths, const std::string& project, const nlohmann::json& request,
                                 Failure& failure);

}  // namespace compose::supervisor

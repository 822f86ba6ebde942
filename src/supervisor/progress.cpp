#include "supervisor/progress.hpp"

namespace compose::supervisor {

using plan::OpKind;

namespace {

struct Words {
  const char* kind;
  const char* begin;
  const char* end;
};

Words words(OpKind kind) {
  switch (kind) {
    case OpKind::create_network:
      return {"Network", "Creating", "Created"};
    case OpKind::create_volume:
      return {"Volume", "Creating", "Created"};
    case OpKind::create_container:
      return {"Container", "Creating", "Created"};
    case OpKind::start_container:
      return {"Container", "Starting", "Started"};
    case OpKind::stop_container:
      return {"Container", "Stopping", "Stopped"};
    case OpKind::kill_container:
      return {"Container", "Killing", "Killed"};
    case OpKind::pause_container:
      return {"Container", "Pausing", "Paused"};
    case OpKind::unpause_container:
      return {"Container", "Unpausing", "Unpaused"};
    case OpKind::remove_container:
      return {"Container", "Removing", "Removed"};
    case OpKind::remove_network:
      return {"Network", "Removing", "Removed"};
    case OpKind::remove_volume:
      return {"Volume", "Removing", "Removed"};
    case OpKind::wait_healthy:
      return {"Container", "Waiting", "Healthy"};
    case OpKind::wait_completed:
      return {"Container", "Waiting", "Exited"};
    case OpKind::hand_over:
      return {"Container", "Updating", "Updated"};
    case OpKind::drain_container:
      return {"Container", "Draining", "Drained"};
    case OpKind::monitor_container:
      return {"Container", "Monitoring", "Updated"};
    case OpKind::run_pre_start:
      return {"Container", "Running", "Exited"};
  }
  return {"Container", "", ""};
}

}  // namespace

Progress progress_of(const plan::Op& op, ProgressStep step) {
  Words text = words(op.kind);
  if (op.kind == OpKind::create_container && !op.replaces.empty()) text = {"Container", "Recreate", "Recreated"};
  switch (step) {
    case ProgressStep::begun:
      return {text.kind, op.name, text.begin, "working"};
    case ProgressStep::ended:
      return {text.kind, op.name, text.end, "done"};
    case ProgressStep::failed:
      break;
  }
  return {text.kind, op.name, "Error", "error"};
}

}  // namespace compose::supervisor

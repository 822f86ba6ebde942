#pragma once
// Runs the commands of `post_start` or `pre_stop` inside one running container, one after another.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "state/records.hpp"
#include "supervisor/context.hpp"
#include "supervisor/probe.hpp"

namespace compose::supervisor {

/// Destroying it kills the command that runs.
class Hooks {
 public:
  /// One line of a hook's output; `step` is "post_start[0]".
  using OnLine = std::function<void(const std::string& step, const std::string& line)>;

  /// `done` is called once, not before this returns; it may destroy the object. Its error names the step, the place in
  /// the files, the exit code and the last output.
  static std::unique_ptr<Hooks> run(const Context& context, const state::ContainerRecord& record,
                                    const std::string& phase, OnLine on_line, Done done);

 private:
  Hooks(const Context& context, const state::ContainerRecord& record, const std::string& phase, OnLine on_line,
        Done done);
  void next();
  void take(std::string_view text);
  void ended(const ProbeOutcome& outcome);
  std::string step() const;
  void finish(Result<void> result);

  const Context& context_;
  std::string id_;
  std::string name_;
  std::string phase_;
  std::vector<state::HookRecord> hooks_;
  std::size_t index_ = 0;
  OnLine on_line_;
  Done done_;
  std::string partial_;
  std::unique_ptr<Probe> probe_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);

 public:
  ~Hooks() { *alive_ = false; }
};

}  // namespace compose::supervisor

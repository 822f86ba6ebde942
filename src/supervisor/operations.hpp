#pragma once
// The requests that change something, one after another: each becomes a plan, the plan is executed, the answer sent.
#include <deque>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>

#include "compose/plan/reconcile.hpp"
#include "image/store.hpp"
#include "supervisor/containers.hpp"
#include "supervisor/control_server.hpp"
#include "supervisor/executor.hpp"

namespace compose::supervisor {

class Operations {
 public:
  Operations(const Context& context, Containers& containers, Addresses& addresses, Names& names, image::Store& images);
  ~Operations();

  /// Takes a request whose "op" is one of those that wait for their turn; answers it some time.
  void submit(const ConnectionPtr& connection, nlohmann::json request);
  /// Ends what the connection asked for at its next safe point, or forgets it when its turn has not come.
  void cancel(const ConnectionPtr& connection);
  bool idle() const { return !current_ && queue_.empty() && foreground_.empty(); }
  /// Restarts services for a reason of our own, when its turn has come.
  void recover(const std::vector<std::string>& services);
  /// Starts what is to run again after the host was restarted (container ids), with what it depends on.
  void restore(std::vector<std::string> ids);
  /// Starts a scheduled service when its turn has come.
  void run_job(const std::string& service, Done done);
  /// A hook has written a line: whoever waits for the present operation sees it.
  void hook_line(const Container& container, const std::string& step, const std::string& line);
  /// A connection was closed by its command: a `run` in the foreground ends with it.
  void closed(const ConnectionPtr& connection);
  /// A container changed: one that `run` made may have ended.
  void changed(const Container& container);
  /// Called whenever idle() may have become true.
  std::function<void()> on_idle;

 private:
  struct Request;
  struct Foreground {
    ConnectionPtr connection;
    std::string id;
  };
  using After = std::function<void(Report)>;

  void next();
  void begin();
  void apply(bool start);
  void down();
  void lifecycle(const std::string& op);
  void restore_now();
  bool take_applied(Work& work);
  void submit_own(nlohmann::json request);
  void run_one_off();
  Result<Work> plan_one_off(const ApplicationPtr& application, Place& place);
  void end_one_off(const std::string& id, const ConnectionPtr& connection);

  void execute(Work work, bool silent, After after);
  struct Update;
  void remove_extras(std::function<void()> then);
  void roll_updates_back(const std::shared_ptr<Update>& update);
  void end_updates(const std::shared_ptr<Update>& update);
  void applied(Result<sys::StagedFile> desired, nlohmann::json result);
  void roll_back(const Report& report, bool fresh, Failure failure);
  void forget_project();
  void show_running(const plan::Plan& plan, const plan::Observed& observed, const Application& application);
  void forget_removed();
  bool answer_dry_run(const plan::Plan& plan);
  void refuse(const Failure& failure);
  void refuse(const Error& error);
  void answer(nlohmann::json result);
  void send_progress(const Progress& progress);
  ApplicationPtr application();

  const Context& context_;
  Containers& containers_;
  Addresses& addresses_;
  Names& names_;
  image::Store& images_;
  std::deque<std::unique_ptr<Request>> queue_;
  std::unique_ptr<Request> current_;
  std::unique_ptr<Executor> executor_;
  std::vector<Foreground> foreground_;
  std::map<std::string, Done> jobs_;  ///< by service: whoever asked for a run that has not begun
};

}  // namespace compose::supervisor

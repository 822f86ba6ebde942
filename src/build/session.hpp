#pragma once
// One build going on: stages side by side as far as they do not need each other, each step from the cache or made.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "build/builder.hpp"
#include "build/cache_transfer.hpp"
#include "build/contexts.hpp"
#include "build/copy.hpp"
#include "build/mount_options.hpp"
#include "build/remote.hpp"
#include "build/run.hpp"
#include "build/ssh_agent.hpp"
#include "build/stages.hpp"
#include "build/step_cache.hpp"
#include "image/config_instructions.hpp"
#include "image/store_internal.hpp"

namespace compose::build {

/// What a stage has become so far.
struct StageState {
  image::ImageConfig config;
  std::vector<image::Layer> layers;   ///< lowest first
  std::string created;                ///< of the newest layer; RFC 3339
  Arguments args;                     ///< ARGs in scope, those of the stage below included
  std::vector<std::string> declared;  ///< ARGs of this very stage, in order
  bool cmd_set = false;

  std::string chain() const { return layers.empty() ? "" : layers.back().chain_id; }
  image::MergedView view() const;
};

class Session {
 public:
  Session(const BuildRequest& request, image::Store& store, const PullImage& pull, StagePlan plan, SourceTree context,
          Runner& runner);

  /// Before run(): caches that lie elsewhere.
  void use(RemoteSteps steps) { remote_ = std::move(steps); }
  /// Builds the target stage and what it needs, independent stages in threads of their own. The configuration is
  /// complete but for the request's labels.
  Result<StageState> run();
  /// After run(): the steps it used, from the cache or made, and what the stages have become.
  const StepRecords& records() const { return records_; }
  std::vector<image::ImageConfig> stage_configs() const;

 private:
  /// One step that makes files: how it is shown, remembered and made.
  struct FileStep {
    const Instruction* instruction = nullptr;
    std::string name;        ///< "[php 2/7] RUN …"
    std::string created_by;  ///< for the history
    std::string key;
    std::string quick_key;  ///< another name of the result that costs less to compute; may be empty
    bool use_cache = true;
    /// Fills folder/diff; `folder` lies in a workspace of its own. `number` is the step's in the events.
    std::function<Result<void>(const std::string& workspace, const std::string& folder, int number)> make;
  };
  struct StageRun {
    const Stage& stage;
    StageState state;
    int next_step = 1;
    int step_count = 1;
    bool use_cache = true;
  };

  /// A stage that was built, is built now by this thread, or is waited for.
  Result<const StageState*> stage(std::size_t index);
  Result<StageState> build_stage(std::size_t index);
  /// Builds stages whose needs are met until none is left.
  void work();
  std::optional<std::size_t> take_ready();
  Result<StageState> base_of(const Stage& stage, std::size_t index);
  /// What FROM means when it names a folder: an image of nothing but its files.
  Result<void> folder_base(StageRun& run, const NamedContext& context);
  Result<StageState> image_state(const std::string& name, const std::string& platform);
  Result<void> run_stage(StageRun& run);
  Result<void> instruction(StageRun& run, const Instruction& item);
  Result<void> argument(StageRun& run, const Instruction& item);
  Result<void> run_command(StageRun& run, const Instruction& item);
  Result<void> copy(StageRun& run, const Instruction& item);
  Result<void> work_dir(StageRun& run, const Instruction& item);
  Result<void> file_step(StageRun& run, const FileStep& step);
  Result<std::optional<StepResult>> known_elsewhere(const FileStep& step);
  Result<void> remember(const FileStep& step, const StepResult& result) const;
  Result<StepResult> make_step(StageRun& run, const FileStep& step, int number);
  Result<StepResult> seal(StageRun& run, const std::string& folder);
  Result<void> apply(StageRun& run, const FileStep& step, const StepResult& result);

  // COPY and ADD
  Result<SourceTree> source_tree(const std::string& from, std::size_t before);
  Result<SourceTree> folder_tree(const std::string& folder);
  struct CopySources {
    CopyOptions options;
    std::vector<std::string> heredocs;  ///< their names
    std::vector<std::string> remote;    ///< ADD: URLs and repositories
    std::string written;                ///< sources and destination as the history shows them
  };
  Result<CopySources> copy_sources(StageRun& run, const Instruction& item) const;
  /// A source of COPY or ADD in a workspace of its own: here-documents, a download, a repository.
  struct ExtraSource {
    image::Workspace space;
    SourceTree tree;
    CopyOptions options;
    CopyPlan plan;
    std::string digest;
  };
  Result<void> key_by_content(const StageRun& run, const SourceTree& tree, const CopyOptions& options,
                              const CopyPlan& plan, FileStep& step,
                              const std::function<std::string(const std::string&)>& key_for) const;
  Result<std::vector<ExtraSource>> extra_sources(StageRun& run, const Instruction& item, const CopySources& sources);
  Result<ExtraSource> heredoc_source(StageRun& run, const Instruction& item, const CopySources& sources);
  Result<ExtraSource> remote_source(const Instruction& item, const CopySources& sources, const std::string& address);
  http::Client& http_client();
  Result<std::string> remote_folder(const NamedContext& context);
  Result<void> write_heredocs(const StageRun& run, const Instruction& item, const std::string& folder) const;
  Result<void> copy_flags(StageRun& run, const Instruction& item, CopySources& sources) const;
  // RUN
  struct RunOptions {
    std::string network;  ///< "none", "host" or "" for one of its own
    bool privileged = false;
  };
  Result<RunOptions> run_options(const Instruction& item) const;
  Result<void> execute(StageRun& run, const Instruction& item, RunRequest request, const std::string& folder,
                       const std::string& step_name, int number);
  struct StepMounts {
    std::vector<RunMount> mounts;
    std::vector<std::string> environment;      ///< secrets given as variables
    std::vector<sys::FileLock> locks;          ///< of cache mounts with sharing=locked
    std::vector<image::Workspace> workspaces;  ///< copies of the context for bind mounts
    std::vector<std::unique_ptr<KeyAgent>> key_agents;
    std::vector<std::unique_ptr<AgentSocket>> agents;  ///< in front of those, or of the user's own
  };
  Result<std::vector<MountOptions>> mount_options(const StageRun& run, const Instruction& item) const;
  Result<std::string> mounts_key(StageRun& run, const Instruction& item);
  Result<StepMounts> step_mounts(StageRun& run, const Instruction& item, const std::string& workspace);
  Result<void> add_mount(StageRun& run, const MountOptions& options, const std::string& workspace, StepMounts& result);
  Result<RunMount> bind_mount(StageRun& run, const MountOptions& options, StepMounts& result);
  Result<void> secret_mount(const std::string& target, const MountOptions& options, const std::string& workspace,
                            StepMounts& result);
  Result<void> ssh_mount(const std::string& target, const MountOptions& options, StepMounts& result);
  Result<RunMount> cache_mount(StageRun& run, const MountOptions& options, StepMounts& result);
  Result<void> seed_cache(StageRun& run, const MountOptions& options, const std::string& folder);
  Result<image::Workspace> private_workspace() const;
  std::string run_history(const StageState& state, const std::vector<std::string>& command) const;
  std::vector<std::string> run_environment(const StageState& state) const;

  image::VariableLookup lookup(const StageState& state) const;
  std::string step_name(StageRun& run, const Instruction& item);
  void report(BuildEvent event);
  void add_history(StageState& state, const std::string& created_by, bool empty) const;
  /// SOURCE_DATE_EPOCH of the build's args: seconds since 1970.
  std::optional<std::int64_t> epoch() const;
  /// That, else now.
  std::string timestamp() const;
  timespec file_time() const;

  const BuildRequest& request_;
  image::Store& store_;
  const image::Store::Internal& internal_;
  const PullImage& pull_;
  StagePlan plan_;
  SourceTree context_;
  Runner& runner_;
  StepCache cache_;
  RemoteSteps remote_;
  Arguments build_args_;
  ContentHashes* hashes_for(const std::string& folder);
  std::mutex hashes_mutex_;
  std::map<std::string, std::unique_ptr<ContentHashes>> hashes_;  ///< by the context's folder
  std::mutex remote_mutex_;
  std::optional<http::Client> http_;
  std::map<std::string, FetchedContext> fetched_;  ///< contexts with a URL, by their names
  std::atomic<int> steps_ = 0;
  std::mutex report_mutex_;
  std::mutex records_mutex_;
  StepRecords records_;

  struct Slot {
    enum class Status { open, running, done, failed };
    Status status = Status::open;
    bool needed = false;
    StageState state;
    std::optional<Error> error;
  };
  std::mutex mutex_;  // of what follows
  std::condition_variable wake_;
  std::vector<Slot> slots_;
  std::optional<Error> first_error_;
};

/// Values of the build's args that are set.
Arguments build_arguments(const BuildRequest& request);
/// HTTP_PROXY and its like: visible to RUN without ARG, no part of any key.
bool is_proxy_argument(const std::string& name);

}  // namespace compose::build

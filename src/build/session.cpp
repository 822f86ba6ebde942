#include "build/session.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <thread>

#include "base/sha256.hpp"
#include "base/strings.hpp"
#include "image/digest.hpp"
#include "image/layer_tar.hpp"
#include "image/rfc3339.hpp"
#include "sys/file.hpp"

namespace compose::build {

namespace {

constexpr const char* kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr std::array<const char*, 5> kProxyArguments = {"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY",
                                                        "ALL_PROXY"};
constexpr const char* kHistoryComment = "compose build";

bool makes_files(const std::string& keyword) {
  return keyword == "RUN" || keyword == "COPY" || keyword == "ADD" || keyword == "WORKDIR";
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// Nothing in a reproducible layer is newer than SOURCE_DATE_EPOCH.
Result<void> clamp_times(const std::string& folder, std::int64_t epoch) {
  TRY_ASSIGN(const std::vector<std::string> names, sys::list_directory(folder));
  for (const std::string& name : names) {
    const std::string path = folder + "/" + name;
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) return os_error("stat \"{}\"", path);
    if (S_ISDIR(status.st_mode)) TRY(clamp_times(path, epoch));
    if (status.st_mtime <= epoch) continue;
    const timespec times[2] = {{epoch, 0}, {epoch, 0}};
    if (::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0)
      return os_error("set the time of \"{}\"", path);
  }
  return {};
}

/// --platform of FROM against what the image is for; "" asks for nothing.
Result<void> check_platform(const std::string& wanted, const image::ImageConfig& config, const std::string& name) {
  if (wanted.empty()) return {};
  const std::vector<std::string> parts = split(wanted, '/');
  const auto same = [&](std::size_t index, const std::string& has) {
    return index >= parts.size() || parts[index] == has || has.empty();
  };
  if (parts.size() == 1 ? parts[0] == "linux" : same(0, config.os) && same(1, config.architecture)) return {};
  return make_error(Errc::unsupported, "the image \"{}\" is for {}/{}, not \"{}\"", name, config.os,
                    config.architecture, wanted);
}

/// An error of a step, at its line unless it has one already.
Error at(const Dockerfile& file, const Instruction& item, const Error& error) {
  if (error.message().starts_with(file.name + ":")) return error;
  return file.error_at(item, error.message(), error.code());
}

}  // namespace

image::MergedView StageState::view() const {
  std::vector<std::string> dirs;
  for (auto it = layers.rbegin(); it != layers.rend(); ++it) dirs.push_back(it->dir);
  return image::MergedView{std::move(dirs)};
}

Arguments build_arguments(const BuildRequest& request) {
  Arguments result;
  for (const auto& [name, value] : request.build.args) {
    if (value) result[name] = *value;
  }
  return result;
}

bool is_proxy_argument(const std::string& name) {
  const auto same = [&](const char* known) { return name == known || name == to_lower(known); };
  return std::any_of(kProxyArguments.begin(), kProxyArguments.end(), same);
}

Session::Session(const BuildRequest& request, image::Store& store, const PullImage& pull, StagePlan plan,
                 SourceTree context, Runner& runner)
    : request_{request},
      store_{store},
      internal_{store.internal()},
      pull_{pull},
      plan_{std::move(plan)},
      context_{std::move(context)},
      runner_{runner},
      cache_{internal_},
      build_args_{build_arguments(request)},
      slots_(plan_.stages.size()) {}

Result<StageState> Session::run() {
  TRY(cache_.make_folders());
  if (context_.from_host && !context_.view.layers().empty())
    context_.hashes = hashes_for(context_.view.layers().front());
  const std::set<std::size_t> needed = plan_.needed();
  for (const std::size_t index : needed) slots_[index].needed = true;
  const std::size_t limit = std::max(2U, std::thread::hardware_concurrency());
  std::vector<std::thread> helpers;
  for (std::size_t i = 1; i < std::min(needed.size(), limit); ++i) helpers.emplace_back([this] { work(); });
  work();
  for (std::thread& helper : helpers) helper.join();
  for (const auto& [folder, hashes] : hashes_) (void)hashes->save().ok();  // only speed is lost
  if (first_error_) return *first_error_;
  return slots_[plan_.target].state;
}

ContentHashes* Session::hashes_for(const std::string& folder) {
  const std::lock_guard lock{hashes_mutex_};
  std::unique_ptr<ContentHashes>& hashes = hashes_[folder];
  if (!hashes) hashes = std::make_unique<ContentHashes>(cache_.hashes_path(sha256_hex(folder)));
  return hashes.get();
}

std::vector<image::ImageConfig> Session::stage_configs() const {
  std::vector<image::ImageConfig> configs;
  for (const Slot& slot : slots_)
    if (slot.status == Slot::Status::done && !slot.state.layers.empty()) configs.push_back(slot.state.config);
  return configs;
}

std::optional<std::size_t> Session::take_ready() {
  for (std::size_t index = 0; index < slots_.size(); ++index) {
    if (!slots_[index].needed || slots_[index].status != Slot::Status::open) continue;
    const std::set<std::size_t> needs = plan_.needs(index);
    const bool ready = std::all_of(needs.begin(), needs.end(),
                                   [&](std::size_t other) { return slots_[other].status == Slot::Status::done; });
    if (ready) return index;
  }
  return std::nullopt;
}

void Session::work() {
  std::unique_lock lock{mutex_};
  while (true) {
    std::optional<std::size_t> index;
    wake_.wait(lock, [&] {
      const bool left = std::any_of(slots_.begin(), slots_.end(),
                                    [](const Slot& slot) { return slot.needed && slot.status == Slot::Status::open; });
      return first_error_ || !left || (index = take_ready());
    });
    if (first_error_ || !index) return;
    lock.unlock();
    // The error is kept for run(): this thread may not be the one that called it.
    (void)stage(*index).ok();
    lock.lock();
  }
}

Result<const StageState*> Session::stage(std::size_t index) {
  Slot& slot = slots_[index];
  {
    std::unique_lock lock{mutex_};
    wake_.wait(lock, [&] { return slot.status != Slot::Status::running; });
    if (slot.status == Slot::Status::done) return &slot.state;
    if (slot.status == Slot::Status::failed) return *slot.error;
    slot.status = Slot::Status::running;
  }
  Result<StageState> built = build_stage(index);
  const std::lock_guard lock{mutex_};
  if (built) {
    slot.state = std::move(*built);
    slot.status = Slot::Status::done;
  } else {
    slot.error = built.error();
    slot.status = Slot::Status::failed;
    if (!first_error_) {
      first_error_ = built.error();
      runner_.cancel();
    }
  }
  wake_.notify_all();
  if (slot.error) return *slot.error;
  return &slot.state;
}

Result<StageState> Session::build_stage(std::size_t index) {
  const Stage& stage = plan_.stages[index];
  const model::Strings& uncached = request_.build.no_cache_filter;
  StageRun run{stage, {}, 1, 1, !request_.no_cache && !request_.build.no_cache};
  if (std::find(uncached.begin(), uncached.end(), stage.name) != uncached.end()) run.use_cache = false;
  TRY_ASSIGN(run.state, base_of(stage, index));
  if (!run.state.config.env_value("PATH"))
    run.state.config.env.insert(run.state.config.env.begin(), std::string{"PATH="} + kDefaultPath);
  TRY(run_stage(run));
  return std::move(run.state);
}

Result<StageState> Session::base_of(const Stage& stage, std::size_t index) {
  const std::optional<NamedContext> named = find_context(request_.build.additional_contexts, stage.base);
  if (!named) {
    if (const std::optional<std::size_t> earlier = plan_.find_stage(stage.base, index, false)) {
      TRY_ASSIGN(const StageState* base, this->stage(*earlier));
      StageState state = *base;
      state.declared.clear();
      state.cmd_set = false;
      return state;
    }
  }
  const bool is_folder =
      named && (named->kind == NamedContext::Kind::folder || named->kind == NamedContext::Kind::remote);
  if (is_folder || (!named && stage.base == "scratch")) {
    StageState state;
    state.config.architecture = image::host_architecture();
    state.config.os = "linux";
    state.config.working_dir = "/";
    return state;
  }
  Result<StageState> state = image_state(stage.base, stage.platform);
  if (!state) return at(plan_.file, stage.from, state.error());
  return state;
}

Result<void> Session::folder_base(StageRun& run, const NamedContext& context) {
  TRY_ASSIGN(const SourceTree tree, source_tree(context.name, static_cast<std::size_t>(run.stage.index)));
  CopyOptions options;
  options.sources = {"/"};
  options.destination = "/";
  TRY_ASSIGN(const CopyPlan plan, plan_copy(tree, options));
  TRY_ASSIGN(const std::string digest, copy_digest(tree, options, plan));
  FileStep step;
  step.instruction = &run.stage.from;
  step.name = step_name(run, run.stage.from);
  step.created_by = "local source for " + context.name;
  step.key = KeyBuilder{}.add("folder 1").add(digest).digest();
  step.make = [&](const std::string&, const std::string& folder, int) -> Result<void> {
    TRY_ASSIGN(image::LayerWriter writer, image::LayerWriter::create(folder, run.state.view()));
    TRY(write_copy(tree, options, plan, writer, file_time()));
    return writer.finish();
  };
  return file_step(run, step);
}

/// A base from the store, fetched if it has to be.
Result<StageState> Session::image_state(const std::string& name, const std::string& platform) {
  std::string image_name = name;
  if (const auto named = find_context(request_.build.additional_contexts, name)) {
    const auto service = request_.named_images.find(named->location);
    if (named->kind == NamedContext::Kind::image) {
      image_name = named->location;
    } else if (named->kind == NamedContext::Kind::service && service != request_.named_images.end()) {
      image_name = service->second;
    } else {
      return make_error(Errc::invalid, "the context \"{}\" ({}) is no image", name, named->location);
    }
  }
  std::optional<image::Image> found;
  const bool always = request_.pull || request_.build.pull;
  if (!always || !pull_) {
    TRY_ASSIGN(found, store_.find(image_name));
  }
  if (!found && pull_) {
    TRY_ASSIGN(found, pull_(image_name, platform).with("image \"{}\"", image_name));
  }
  if (!found) {
    return make_error(Errc::not_found, "the image \"{}\" is not in the store: import, load or build it first",
                      image_name);
  }
  TRY(check_platform(platform, found->config, image_name));
  StageState state;
  state.config = found->config;
  state.created = found->config.created;
  TRY_ASSIGN(state.layers, store_.layers(*found));
  return state;
}

Result<void> Session::run_stage(StageRun& run) {
  std::vector<Instruction> items;
  for (const std::string& trigger : std::exchange(run.state.config.on_build, {})) {
    TRY_ASSIGN(Instruction item,
               parse_trigger(trigger, plan_.file.escape).with("trigger of the image \"{}\"", run.stage.base));
    item.line = run.stage.from.line;
    item.last_line = run.stage.from.last_line;
    items.push_back(std::move(item));
  }
  items.insert(items.end(), run.stage.instructions.begin(), run.stage.instructions.end());
  run.step_count += static_cast<int>(
      std::count_if(items.begin(), items.end(), [](const Instruction& item) { return makes_files(item.keyword); }));
  const std::optional<NamedContext> named = find_context(request_.build.additional_contexts, run.stage.base);
  if (named && run.state.layers.empty() && run.state.config.history.empty()) {
    const Result<void> made = folder_base(run, *named);
    if (!made) return at(plan_.file, run.stage.from, made.error());
  } else {
    BuildEvent from{BuildEvent::Kind::cached, ++steps_, step_name(run, run.stage.from), "", false, 0};
    report(std::move(from));
  }
  for (const Instruction& item : items) {
    const Result<void> result = instruction(run, item);
    if (!result) return at(plan_.file, item, result.error());
  }
  return {};
}

Result<void> Session::instruction(StageRun& run, const Instruction& item) {
  if (item.keyword == "ARG") return argument(run, item);
  if (item.keyword == "RUN") return run_command(run, item);
  if (item.keyword == "COPY" || item.keyword == "ADD") return copy(run, item);
  std::string_view arguments = item.arguments;
  std::string with_flags;
  if (item.keyword == "HEALTHCHECK") {
    // Its flags belong to the instruction itself.
    for (const Flag& flag : item.flags) with_flags += fmt::format("--{}={} ", flag.name, flag.value);
    with_flags += item.arguments;
    arguments = with_flags;
  }
  std::string trigger;
  if (item.keyword == "ONBUILD") {
    trigger = trim(std::string_view{item.text}.substr(item.keyword.size()));
    for (const Heredoc& heredoc : item.heredocs) trigger += "\n" + heredoc.content + heredoc.name;
    arguments = trigger;
  }
  image::InstructionContext context{lookup(run.state), plan_.file.escape, run.state.cmd_set};
  TRY(image::apply_instruction(run.state.config, item.keyword, arguments, context));
  run.state.cmd_set = context.cmd_set;
  if (item.keyword == "WORKDIR") return work_dir(run, item);
  if (item.keyword != "ONBUILD") add_history(run.state, item.text, true);
  return {};
}

/// ARG brings a value of the build, or a default, into the stage.
Result<void> Session::argument(StageRun& run, const Instruction& item) {
  const std::vector<std::string> words = image::split_words(item.arguments, plan_.file.escape);
  if (words.empty()) return make_error(Errc::invalid, "ARG needs a name");
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    TRY_ASSIGN(const std::string name,
               image::expand_word(word.substr(0, equals), lookup(run.state), plan_.file.escape));
    if (name.empty()) return make_error(Errc::invalid, "ARG \"{}\" has an empty name", word);
    std::vector<std::string>& declared = run.state.declared;
    if (std::find(declared.begin(), declared.end(), name) == declared.end()) declared.push_back(name);
    if (const auto given = build_args_.find(name); given != build_args_.end()) {
      run.state.args[name] = given->second;
    } else if (equals != std::string::npos) {
      TRY_ASSIGN(run.state.args[name],
                 image::expand_word(word.substr(equals + 1), lookup(run.state), plan_.file.escape));
    } else if (const auto global = plan_.global_args.find(name); global != plan_.global_args.end()) {
      run.state.args[name] = global->second;
    }
  }
  add_history(run.state, item.text, true);
  return {};
}

image::VariableLookup Session::lookup(const StageState& state) const {
  return [&state](std::string_view name) -> std::optional<std::string> {
    if (std::optional<std::string> value = state.config.env_value(name)) return value;
    const auto it = state.args.find(std::string{name});
    return it == state.args.end() ? std::nullopt : std::optional{it->second};
  };
}

std::string Session::step_name(StageRun& run, const Instruction& item) {
  const std::string label = run.stage.label(plan_.stages.size());
  return fmt::format("[{}{}{}/{}] {}", label, label.empty() ? "" : " ", run.next_step++, run.step_count, item.text);
}

void Session::report(BuildEvent event) {
  const std::lock_guard lock{report_mutex_};
  if (request_.progress) request_.progress(event);
}

void Session::add_history(StageState& state, const std::string& created_by, bool empty) const {
  state.config.history.push_back({state.created, created_by, "", kHistoryComment, empty});
}

std::optional<std::int64_t> Session::epoch() const {
  const auto it = build_args_.find("SOURCE_DATE_EPOCH");
  return it == build_args_.end() ? std::nullopt : parse_signed(it->second);
}

std::string Session::timestamp() const {
  const std::optional<std::int64_t> seconds = epoch();
  return seconds ? image::rfc3339({.tv_sec = *seconds, .tv_nsec = 0}) : image::now_rfc3339();
}

timespec Session::file_time() const { return {epoch().value_or(::time(nullptr)), 0}; }

Result<void> Session::file_step(StageRun& run, const FileStep& step) {
  const auto cached = [&](bool elsewhere) -> Result<bool> {
    if (!run.use_cache || !step.use_cache) return false;
    TRY_ASSIGN(std::optional<StepResult> result, cache_.find(step.key));
    if (!result && elsewhere) {
      TRY_ASSIGN(result, known_elsewhere(step));
    }
    if (!result) return false;
    if (!step.quick_key.empty()) TRY(cache_.remember(step.quick_key, *result));
    report({BuildEvent::Kind::cached, ++steps_, step.name, "", false, 0});
    TRY(apply(run, step, *result));
    return true;
  };
  TRY_ASSIGN(const bool found, cached(false));
  if (found) return {};
  TRY_ASSIGN(sys::FileLock lock, cache_.lock(step.key));
  TRY_ASSIGN(const bool found_now, cached(true));
  if (found_now) {
    cache_.unlock(step.key, std::move(lock));
    return {};
  }
  const int number = ++steps_;
  report({BuildEvent::Kind::started, number, step.name, "", false, 0});
  const auto begin = std::chrono::steady_clock::now();
  Result<StepResult> result = make_step(run, step, number);
  if (!result) {
    cache_.unlock(step.key, std::move(lock));
    report({BuildEvent::Kind::failed, number, step.name, result.error().message(), false, seconds_since(begin)});
    return std::move(result).error();
  }
  TRY(remember(step, *result));
  cache_.unlock(step.key, std::move(lock));
  report({BuildEvent::Kind::done, number, step.name, "", false, seconds_since(begin)});
  return apply(run, step, *result);
}

Result<void> Session::remember(const FileStep& step, const StepResult& result) const {
  if (!step.quick_key.empty()) TRY(cache_.remember(step.quick_key, result));
  return cache_.remember(step.key, result);
}

/// From a cache at a registry. One that has lost its layers, or cannot be reached any more, only costs time.
Result<std::optional<StepResult>> Session::known_elsewhere(const FileStep& step) {
  if (remote_.empty()) return std::optional<StepResult>{};
  const Result<std::optional<StepResult>> fetched = remote_.fetch(step.key);
  if (!fetched) {
    report({BuildEvent::Kind::warning, 0, "", "build.cache_from: " + fetched.error().message(), false, 0});
    return std::optional<StepResult>{};
  }
  if (*fetched) TRY(cache_.remember(step.key, **fetched));
  return *fetched;
}

Result<StepResult> Session::make_step(StageRun& run, const FileStep& step, int number) {
  TRY_ASSIGN(const image::Workspace space, internal_.workspace());
  const std::string folder = space.path() + "/layer";
  TRY(step.make(space.path(), folder, number));
  return seal(run, folder);
}

/// Turns the tree in folder/diff into a layer on top of the stage's.
Result<StepResult> Session::seal(StageRun& run, const std::string& folder) {
  const std::string diff = folder + "/diff";
  TRY(sys::remove_tree(folder + "/replaced"));
  StepResult result;
  result.chain = run.state.config.diff_ids;
  result.created = timestamp();
  TRY_ASSIGN(const std::vector<std::string> names, sys::list_directory(diff));
  result.empty = names.empty();
  if (result.empty) return result;
  if (const std::optional<std::int64_t> newest = epoch()) TRY(clamp_times(diff, *newest));
  Sha256 hash;
  TRY_ASSIGN(const image::TarSummary summary, image::write_canonical_tar(diff, [&](std::string_view bytes) {
               hash.update(bytes.data(), bytes.size());
               return Result<void>{};
             }));
  image::Layer layer;
  layer.diff_id = "sha256:" + hash.finish_hex();
  layer.size = summary.content_size;
  layer.tar_size = summary.tar_size;
  TRY_ASSIGN(const image::Layer stored, internal_.add_layer(folder, run.state.chain(), std::move(layer)));
  result.chain.push_back(stored.diff_id);
  return result;
}

Result<void> Session::apply(StageRun& run, const FileStep& step, const StepResult& result) {
  run.state.created = result.created;
  {
    const std::lock_guard lock{records_mutex_};
    records_[step.key] = result;
  }
  for (std::size_t i = run.state.layers.size(); i < result.chain.size(); ++i) {
    const std::string chain = image::chain_id(run.state.chain(), result.chain[i]);
    TRY_ASSIGN(std::optional<image::Layer> layer, internal_.layer(chain));
    if (!layer) return make_error(Errc::not_found, "layer {} has just been removed: build again", chain);
    run.state.layers.push_back(std::move(*layer));
  }
  run.state.config.diff_ids = result.chain;
  add_history(run.state, step.created_by, result.empty);
  return {};
}

}  // namespace compose::build

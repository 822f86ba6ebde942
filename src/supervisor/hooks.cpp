#include "supervisor/hooks.hpp"

#include "base/strings.hpp"

namespace compose::supervisor {

namespace {
constexpr std::size_t kLongestLine = 4096;
}

std::unique_ptr<Hooks> Hooks::run(const Context& context, const state::ContainerRecord& record,
                                  const std::string& phase, OnLine on_line, Done done) {
  std::unique_ptr<Hooks> hooks{new Hooks{context, record, phase, std::move(on_line), std::move(done)}};
  context.loop.post([self = hooks.get(), alive = hooks->alive_] {
    if (*alive) self->next();
  });
  return hooks;
}

Hooks::Hooks(const Context& context, const state::ContainerRecord& record, const std::string& phase, OnLine on_line,
             Done done)
    : context_{context},
      id_{record.id},
      name_{record.name},
      phase_{phase},
      hooks_{phase == "pre_stop" ? record.pre_stop : record.post_start},
      on_line_{std::move(on_line)},
      done_{std::move(done)} {}

std::string Hooks::step() const { return fmt::format("{}[{}]", phase_, index_); }

void Hooks::next() {
  if (index_ == hooks_.size()) return finish({});
  const state::HookRecord& hook = hooks_[index_];
  auto command = exec_command(context_);
  if (!command) return finish(std::move(command).error());
  auto& words = command->arguments;
  if (!hook.user.empty()) words.insert(words.end(), {"--user", hook.user});
  if (!hook.working_dir.empty()) words.insert(words.end(), {"--cwd", hook.working_dir});
  if (hook.privileged) words.emplace_back("--privileged");
  for (const std::string& variable : hook.environment) words.insert(words.end(), {"--env", variable});
  words.push_back(id_);
  words.insert(words.end(), hook.command.begin(), hook.command.end());
  context_.log.write("container {}: {}: {}", name_, step(), join(hook.command, " "));
  auto probe = Probe::start(context_.loop, *command, [this](const ProbeOutcome& outcome) { ended(outcome); });
  if (!probe) return finish(std::move(probe).error());
  probe_ = *std::move(probe);
  probe_->on_output = [this](std::string_view text) { take(text); };
}

void Hooks::take(std::string_view text) {
  partial_ += text;
  for (auto end = partial_.find('\n'); end != std::string::npos; end = partial_.find('\n')) {
    if (on_line_) on_line_(step(), partial_.substr(0, end));
    partial_.erase(0, end + 1);
  }
  if (partial_.size() <= kLongestLine) return;
  if (on_line_) on_line_(step(), partial_);
  partial_.clear();
}

void Hooks::ended(const ProbeOutcome& outcome) {
  if (!partial_.empty() && on_line_) on_line_(step(), partial_);
  partial_.clear();
  // The probe stands on the stack.
  context_.loop.post([probe = std::shared_ptr<Probe>{std::move(probe_)}] {});
  if (outcome.exit_code == 0) {
    ++index_;
    return next();
  }
  const state::HookRecord& hook = hooks_[index_];
  const std::string place = hook.position.empty() ? "" : hook.position + ": ";
  const std::string output{trim(outcome.output)};
  finish(make_error(Errc::failed, "{}{} of container \"{}\" failed with exit code {}: {}{}", place, step(), name_,
                    outcome.exit_code, join(hook.command, " "), output.empty() ? "" : "\n  " + output));
}

void Hooks::finish(Result<void> result) {
  const Done done = std::move(done_);
  done(std::move(result));
}

}  // namespace compose::supervisor

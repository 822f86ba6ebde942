// Every fuzz target over its corpus, whole, cut short, and with single bytes changed.
#include <gtest/gtest.h>

#include "runtime/fuzz/fuzz.hpp"
#include "runtime/launch/plan.hpp"
#include "runtime/monitor/request.hpp"
#include "runtime/monitor/wire.hpp"
#include "runtime/spec/spec.hpp"
#include "sys/file.hpp"

namespace compose::runtime::fuzz {
namespace {

using Target = void (*)(std::string_view);

void run_with_damaged_copies(Target run, const std::string& bytes) {
  run(bytes);
  const std::size_t step = bytes.size() / 400 + 1;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    run(std::string_view{bytes}.substr(0, at));
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ static_cast<char>(1 + at % 255));
    run(changed);
  }
}

void run_corpus(Target run, const std::string& folder) {
  auto names = sys::list_directory(folder);
  ASSERT_TRUE(names.ok() && !names->empty()) << folder;
  for (const std::string& name : *names) {
    auto bytes = sys::read_file(folder + "/" + name);
    ASSERT_TRUE(bytes.ok()) << name;
    run_with_damaged_copies(run, *bytes);
  }
}

TEST(Corpus, ConfigurationsAndDamagedCopies) { run_corpus(config, COMPOSE_CORPUS "/config"); }
TEST(Corpus, MessagesAndDamagedCopies) { run_corpus(messages, COMPOSE_CORPUS "/messages"); }

/// The layout of a request changes with the plan's, so a current one is made here and not kept in a file.
TEST(Corpus, WhatIsSentTodayAndDamagedCopies) {
  monitor::Request request;
  request.container_id = "c1";
  request.respawn_argv = {"/bin/compose", "supervise"};
  request.plan.process.args = {"sh", "-c", "true"};
  request.plan.steps.resize(3);
  request.plan.hostname = "box";
  run_with_damaged_copies(messages, monitor::serialize(request));
  run_with_damaged_copies(messages, launch::serialize(request.plan));
  monitor::Event event;
  event.message = "gone";
  run_with_damaged_copies(messages, monitor::wire::encode(event));
  run_with_damaged_copies(messages, monitor::wire::encode_numbers(monitor::wire::kResize, 24, 80));
}

}  // namespace
}  // namespace compose::runtime::fuzz

#pragma once
// What every part of one supervisor shares.
#include <functional>
#include <string>

#include "async/event_loop.hpp"
#include "base/error.hpp"
#include "state/paths.hpp"
#include "supervisor/log.hpp"
#include "supervisor/runtime_program.hpp"

namespace compose::supervisor {

struct Context {
  async::EventLoop& loop;
  const state::Paths& paths;
  const std::string& project;
  Log& log;
  RuntimeProgram& runtime;
};

/// How an operation that takes time ends. Called once, on the loop.
using Done = std::function<void(Result<void>)>;

}  // namespace compose::supervisor

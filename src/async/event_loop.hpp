#pragma once
// One thread's event loop over Boost.Asio: descriptors, timers and a small pool for work that blocks. Callbacks run on
// the thread that called run(), one at a time, so nothing that only they touch needs a lock.
#include <functional>
#include <memory>

#include "base/units.hpp"

namespace compose::async {

class EventLoop;

/// A registered descriptor. Destroying it ends the callbacks; it may be destroyed from inside its own callback.
/// Destroy it BEFORE closing the descriptor (declare it after the UniqueFd it watches).
class Watch {
 public:
  struct State;
  Watch() = default;
  explicit Watch(std::shared_ptr<State> state);
  Watch(Watch&&) noexcept = default;
  Watch& operator=(Watch&& other) noexcept;
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch();
  void reset();
  explicit operator bool() const { return state_ != nullptr; }

 private:
  std::shared_ptr<State> state_;
};

/// A pending call. Destroying it cancels the call; it may be destroyed from inside its own callback.
class Timer {
 public:
  struct State;
  Timer() = default;
  explicit Timer(std::shared_ptr<State> state);
  Timer(Timer&&) noexcept = default;
  Timer& operator=(Timer&& other) noexcept;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer();
  void reset();
  explicit operator bool() const { return state_ != nullptr; }

 private:
  std::shared_ptr<State> state_;
};

class EventLoop {
 public:
  EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  /// Waits for work that still runs on the pool; its `done` callbacks are dropped.
  ~EventLoop();

  /// Runs callbacks until stop(), or until nothing is registered, pending or running on the pool.
  void run();
  /// Makes run() return after the current callback. Can be called from any thread.
  void stop();
  /// Queues a callback. Can be called from any thread.
  void post(std::function<void()> callback);

  /// Calls back whenever `fd` is readable (level-triggered: until the cause is consumed or the watch is destroyed).
  /// Puts the descriptor's open file description in non-blocking mode. A pidfd is readable when its process has ended.
  [[nodiscard]] Watch watch_readable(int fd, std::function<void()> callback);
  /// The same for room to write.
  [[nodiscard]] Watch watch_writable(int fd, std::function<void()> callback);
  /// Calls back once after `delay` (monotonic clock).
  [[nodiscard]] Timer call_after(Duration delay, std::function<void()> callback);

  /// Runs `work` on a pool thread, then `done` on the loop. Both must own what they touch.
  void run_blocking(std::function<void()> work, std::function<void()> done);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace compose::async

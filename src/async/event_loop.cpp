#include "async/event_loop.hpp"

#include <fcntl.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <optional>

namespace compose::async {

namespace asio = boost::asio;
using Descriptor = asio::posix::stream_descriptor;

namespace {
// Hashing, unpacking and copying are what runs there; more threads than this only fight over the disk.
constexpr std::size_t kPoolThreads = 4;
}  // namespace

struct Watch::State : std::enable_shared_from_this<Watch::State> {
  State(asio::io_context& context, Descriptor::wait_type type, std::function<void()> call)
      : descriptor{context}, wait_type{type}, callback{std::move(call)} {}

  void arm() {
    descriptor.async_wait(wait_type, [self = shared_from_this()](const boost::system::error_code& error) {
      if (self->ended || error == asio::error::operation_aborted) return;
      self->callback();
      if (!self->ended) self->arm();
    });
  }

  void end() {
    if (ended) return;
    ended = true;
    boost::system::error_code ignored;
    if (duplicate) {
      descriptor.close(ignored);
    } else if (descriptor.is_open()) {
      descriptor.release();
    }
  }

  Descriptor descriptor;
  Descriptor::wait_type wait_type;
  std::function<void()> callback;
  bool duplicate = false;
  bool ended = false;
};

Watch::Watch(std::shared_ptr<State> state) : state_{std::move(state)} {}
Watch::~Watch() { reset(); }
Watch& Watch::operator=(Watch&& other) noexcept {
  Watch moved{std::move(other)};
  std::swap(state_, moved.state_);
  return *this;
}
void Watch::reset() {
  if (const auto state = std::exchange(state_, nullptr)) state->end();
}

struct Timer::State {
  State(asio::io_context& context, std::function<void()> call) : timer{context}, callback{std::move(call)} {}
  asio::steady_timer timer;
  std::function<void()> callback;
  bool ended = false;
};

Timer::Timer(std::shared_ptr<State> state) : state_{std::move(state)} {}
Timer::~Timer() { reset(); }
Timer& Timer::operator=(Timer&& other) noexcept {
  Timer moved{std::move(other)};
  std::swap(state_, moved.state_);
  return *this;
}
void Timer::reset() {
  if (const auto state = std::exchange(state_, nullptr)) {
    state->ended = true;
    state->timer.cancel();
  }
}

struct EventLoop::Impl {
  asio::io_context context{1};
  std::optional<asio::thread_pool> pool;  // started by the first blocking work: most commands never need it

  Watch watch(int fd, Descriptor::wait_type type, std::function<void()> callback) {
    auto state = std::make_shared<Watch::State>(context, type, std::move(callback));
    boost::system::error_code error;
    state->descriptor.assign(fd, error);
    if (error) {
      // epoll knows a descriptor number once: the second watch of the same descriptor gets its own number.
      state->duplicate = true;
      state->descriptor.assign(::fcntl(fd, F_DUPFD_CLOEXEC, 0), error);
      if (error) return {};
    }
    state->arm();
    return Watch{std::move(state)};
  }
};

EventLoop::EventLoop() : impl_{std::make_unique<Impl>()} {}
EventLoop::~EventLoop() {
  impl_->context.stop();
  if (impl_->pool) impl_->pool->join();
}

void EventLoop::run() {
  impl_->context.restart();
  impl_->context.run();
}
void EventLoop::stop() { impl_->context.stop(); }
void EventLoop::post(std::function<void()> callback) { asio::post(impl_->context, std::move(callback)); }

Watch EventLoop::watch_readable(int fd, std::function<void()> callback) {
  return impl_->watch(fd, Descriptor::wait_read, std::move(callback));
}
Watch EventLoop::watch_writable(int fd, std::function<void()> callback) {
  return impl_->watch(fd, Descriptor::wait_write, std::move(callback));
}

Timer EventLoop::call_after(Duration delay, std::function<void()> callback) {
  auto state = std::make_shared<Timer::State>(impl_->context, std::move(callback));
  state->timer.expires_after(delay);
  state->timer.async_wait([state](const boost::system::error_code& error) {
    if (!state->ended && !error) state->callback();
  });
  return Timer{std::move(state)};
}

void EventLoop::run_blocking(std::function<void()> work, std::function<void()> done) {
  if (!impl_->pool) impl_->pool.emplace(kPoolThreads);
  asio::post(*impl_->pool,
             [this, guard = asio::make_work_guard(impl_->context), work = std::move(work), done = std::move(done)] {
               work();
               post(done);
             });
}

}  // namespace compose::async

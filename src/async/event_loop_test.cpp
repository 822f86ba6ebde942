#include "async/event_loop.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "base/unique_fd.hpp"

namespace compose::async {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

struct Pair {
  Pair() {
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    near.reset(fds[0]);
    far.reset(fds[1]);
  }
  UniqueFd near, far;
};

TEST(EventLoop, CallsBackUntilTheInputIsConsumed) {
  Pair pair;
  EventLoop loop;
  ASSERT_EQ(::write(pair.far.get(), "abc", 3), 3);
  std::string seen;
  Watch watch = loop.watch_readable(pair.near.get(), [&] {
    char letter = 0;
    ASSERT_EQ(::read(pair.near.get(), &letter, 1), 1);
    seen += letter;
    if (seen == "abc") watch.reset();
  });
  loop.run();
  EXPECT_EQ(seen, "abc");
}

TEST(EventLoop, WatchesBothDirectionsOfOneDescriptor) {
  Pair pair;
  EventLoop loop;
  bool wrote = false;
  bool read = false;
  Watch reader = loop.watch_readable(pair.near.get(), [&] {
    read = true;
    reader.reset();
  });
  Watch writer = loop.watch_writable(pair.near.get(), [&] {
    wrote = true;
    writer.reset();
    ASSERT_EQ(::write(pair.far.get(), "x", 1), 1);
  });
  loop.run();
  EXPECT_TRUE(wrote);
  EXPECT_TRUE(read);
}

TEST(EventLoop, ADestroyedWatchLeavesTheDescriptorOpen) {
  Pair pair;
  EventLoop loop;
  {
    Watch watch = loop.watch_readable(pair.near.get(), [] { FAIL(); });
  }
  EXPECT_EQ(::write(pair.far.get(), "x", 1), 1);
  loop.run();
  char letter = 0;
  EXPECT_EQ(::read(pair.near.get(), &letter, 1), 1);
}

TEST(EventLoop, TimersFireInOrderAndCancelWhenDestroyed) {
  EventLoop loop;
  std::vector<int> order;
  Timer late = loop.call_after(milliseconds{2}, [&] { order.push_back(2); });
  Timer early = loop.call_after(milliseconds{1}, [&] { order.push_back(1); });
  Timer never = loop.call_after(hours{1}, [&] { order.push_back(3); });
  never.reset();
  loop.run();
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

TEST(EventLoop, ATimerMayReplaceItselfInItsCallback) {
  EventLoop loop;
  int calls = 0;
  Timer timer;
  std::function<void()> tick = [&] {
    if (++calls < 3) timer = loop.call_after(milliseconds{0}, tick);
  };
  timer = loop.call_after(milliseconds{0}, tick);
  loop.run();
  EXPECT_EQ(calls, 3);
}

TEST(EventLoop, BlockingWorkRunsElsewhereAndReportsOnTheLoop) {
  EventLoop loop;
  const auto here = std::this_thread::get_id();
  std::thread::id worked;
  std::thread::id reported;
  loop.run_blocking([&] { worked = std::this_thread::get_id(); }, [&] { reported = std::this_thread::get_id(); });
  loop.run();
  EXPECT_NE(worked, here);
  EXPECT_EQ(reported, here);
}

TEST(EventLoop, StopReturnsWithWorkLeft) {
  EventLoop loop;
  Timer never = loop.call_after(hours{1}, [] {});
  loop.post([&] { loop.stop(); });
  loop.run();
}

}  // namespace
}  // namespace compose::async

#include <gmock/gmock.h>
#include <signal.h>

#include "runtime/testing/bench_container.hpp"
#include "sys/file.hpp"

namespace compose::runtime::testing {
namespace {

using Kind = monitor::Event::Kind;

class MonitorTest : public Bench {};

TEST_F(MonitorTest, TellsCreatedStartedExitedInOrder) {
  spec.process->args = {"/bin/sh", "-c", "echo out; echo err >&2; exit 7"};
  auto client = start();
  EXPECT_EQ(next_event(client).kind, Kind::created);
  const auto started = next_event(client);
  EXPECT_EQ(started.kind, Kind::started) << started.message;
  EXPECT_GT(started.pid, 1);
  EXPECT_GT(started.start_time, 0U);
  const auto outcome = finish(client);
  EXPECT_EQ(outcome.last.kind, Kind::exited) << outcome.last.message;
  EXPECT_EQ(outcome.last.exit_code, 7);
  EXPECT_EQ(outcome.output, "out\n");
  EXPECT_EQ(outcome.errors, "err\n");
  auto record = sys::read_file(folder / "state/exit.json");
  ASSERT_TRUE(record.ok());
  EXPECT_THAT(*record, ::testing::HasSubstr("\"exit_code\":7,\"signal\":0"));
}

}  // namespace
}  // namespace compose::runtime::testing

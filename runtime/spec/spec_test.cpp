#include <gmock/gmock.h>

#include "runtime/spec/spec.hpp"

namespace compose::runtime::spec {
namespace {

constexpr const char* kConfig = R"({
  "ociVersion": "1.0.2", "hostname": "h", "unknown": {"kept": "no"},
  "root": {"path": "rootfs", "readonly": true},
  "process": {"terminal": true, "consoleSize": {"height": 24, "width": 80}, "user": {"uid": 0, "gid": 5, "umask": 18,
    "additionalGids": [1, 2]}, "args": ["sh", "-c", ""], "env": ["A=b"], "cwd": "/", "oomScoreAdj": -5,
    "capabilities": {"bounding": ["CAP_KILL"]}, "rlimits": [{"type": "RLIMIT_CORE", "soft": 1, "hard": 18446744073709551615}]},
  "mounts": [{"destination": "/proc", "type": "proc", "source": "proc", "options": null}],
  "hooks": {"prestart": [{"path": "/bin/x", "timeout": 3}]},
  "linux": {"namespaces": [{"type": "pid"}, {"type": "network", "path": "/proc/1/ns/net"}],
    "resources": {"devices": [{"allow": false, "access": "rwm"}], "pids": {"limit": 9},
      "memory": {"limit": -1}, "network": {"classID": 7}, "unified": {"memory.high": "1"}},
    "seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
      "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 1, "value": 4294967295, "op": "SCMP_CMP_EQ"}]}]},
    "intelRdt": {"closID": "x"}, "timeOffsets": {"boottime": {"secs": -7}}}
})";

TEST(Spec, ReadsWhatItKnows) {
  auto spec = parse(kConfig);
  ASSERT_TRUE(spec.ok()) << spec.error().message();
  EXPECT_TRUE(spec->process->terminal);
  EXPECT_EQ(spec->process->args.size(), 3U);
  EXPECT_EQ(spec->process->rlimits[0].hard, ~std::uint64_t{0});
  EXPECT_EQ(spec->process->oom_score_adj, -5);
  EXPECT_EQ(spec->linux_.resources->pids_limit, 9);
  EXPECT_EQ(spec->linux_.resources->memory->limit, -1);
  EXPECT_EQ(spec->linux_.seccomp->syscalls[0].args[0].value, 4294967295U);
  EXPECT_EQ(spec->linux_.time_offsets.at("boottime").secs, -7);
  EXPECT_EQ(spec->hooks.prestart[0].timeout, 3);
}

TEST(Spec, WritesWhatItReads) {
  auto spec = parse(kConfig);
  ASSERT_TRUE(spec.ok());
  const std::string once = to_json(*spec);
  auto again = parse(once);
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(to_json(*again), once);
  EXPECT_EQ(again->process->args[2], "");
  EXPECT_THAT(once, ::testing::HasSubstr("\"allow\": false"));
}

TEST(Spec, NamesTheMemberOfTheWrongType) {
  EXPECT_EQ(parse(R"({"ociVersion":"1.0.0","mounts":[{"options":["a",3]}]})").error().message(),
            "mounts[0].options[1]: expected a string");
  EXPECT_EQ(parse(R"({"ociVersion":"1.0.0","process":{"user":{"uid":-1}}})").error().message(),
            "process.user.uid: expected a positive integer in range");
  EXPECT_EQ(parse(R"({"ociVersion":"1.0.0","hostname":"a\u0000b"})").error().message(),
            "hostname: expected a string without a zero byte");
  EXPECT_FALSE(parse("{").ok());
  EXPECT_FALSE(parse(R"({"ociVersion":"2.0.0"})").ok());
}

}  // namespace
}  // namespace compose::runtime::spec

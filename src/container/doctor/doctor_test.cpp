#include "container/doctor/doctor.hpp"

#include <gmock/gmock.h>
#include <sched.h>

#include "container/doctor/probes.hpp"
#include "container/test_folder.hpp"

namespace compose::container::doctor {
namespace {

using testing::HasSubstr;

TEST(DoctorText, PutsTheRemedyBelowTheFinding) {
  const std::vector<Check> checks{ok("kernel", "6.1"), missing("overlayfs", "no such device", "modprobe overlay")};
  EXPECT_EQ(to_text(checks),
            "ok       kernel               6.1\n"
            "missing  overlayfs            no such device\n"
            "                              modprobe overlay\n");
  EXPECT_FALSE(healthy(checks));
  EXPECT_TRUE(healthy(std::vector{checks[0], warning("rights", "few", "more")}));
  EXPECT_EQ(
      to_json(std::vector{checks[0]}),
      "[\n  {\n    \"name\": \"kernel\",\n    \"status\": \"ok\",\n    \"detail\": \"6.1\",\n    \"remedy\": \"\"\n"
      "  }\n]\n");
}

class DoctorTest : public TestFolder {};

TEST_F(DoctorTest, EveryCheckSpeaksAndLeavesNothing) {
  const auto checks = examine({path("root"), path("run")});
  EXPECT_GE(checks.size(), 12U);
  for (const auto& check : checks) {
    EXPECT_FALSE(check.detail.empty()) << check.name;
    if (check.status != Status::ok) {
      EXPECT_FALSE(check.remedy.empty()) << check.name;
    }
  }
  EXPECT_TRUE(sys::list_directory(folder_)->empty());
}

TEST_F(DoctorTest, WithoutRootItNamesWhatRootIsNeededFor) {
  if (::geteuid() == 0) GTEST_SKIP() << "runs as root";
  EXPECT_EQ(check_capabilities().status, Status::missing);
  EXPECT_THAT(check_capabilities().detail, HasSubstr("CAP_SYS_ADMIN"));
  EXPECT_EQ(check_namespaces().status, Status::missing);
}

TEST_F(DoctorTest, AsRootNamespacesOverlayAndNetworkWork) {
  COMPOSE_NEEDS_ROOT;
  if (!in_own_namespaces(CLONE_NEWNS | CLONE_NEWNET, [] { return Result<void>{}; }).ok()) {
    GTEST_SKIP() << "namespaces cannot be made here";
  }
  for (const auto& check : {check_kernel_calls(), check_namespaces(), check_overlay({path("root"), path("run")}),
                            check_seccomp(), check_bridge(), check_firewall(), check_resolver()}) {
    EXPECT_EQ(check.status, Status::ok) << check.name << ": " << check.detail;
  }
}

TEST_F(DoctorTest, AFolderThatCannotBeWrittenIsNamed) {
  if (::geteuid() == 0) GTEST_SKIP() << "root can write everywhere";
  const auto checks = check_folders({"/proc/compose", path("run")});
  EXPECT_EQ(checks[0].status, Status::missing);
  EXPECT_EQ(checks[1].status, Status::ok);
}

TEST(OwnNamespaces, TheAttemptsErrorComesBack) {
  const auto result = in_own_namespaces(0, [] { return Result<void>{make_error(Errc::failed, "no luck")}; });
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().message(), "no luck");
}

}  // namespace
}  // namespace compose::container::doctor

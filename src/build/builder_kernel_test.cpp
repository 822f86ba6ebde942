// Builds whose RUN steps run in containers of our own runtime, on a root file system made of Debian's static busybox.
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "build/builder.hpp"
#include "image/merged_view.hpp"
#include "image/testing/tar_builder.hpp"
#include "sys/file.hpp"
#include "sys/program.hpp"

namespace compose::build {
namespace {

using image::testing::tar;
using image::testing::TarItem;
using image::testing::TempFolder;

class BuilderKernelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "containers of a build need root";
    if (!sys::program_path("compose-runtime")) GTEST_SKIP() << "compose-runtime is not built";
    Result<std::string> busybox = sys::read_file("/bin/busybox");
    if (!busybox) GTEST_SKIP() << "/bin/busybox (package busybox-static) is not installed";
    Result<image::Store> opened = image::Store::open(folder_ / "root");
    ASSERT_TRUE(opened);
    store_.emplace(std::move(*opened));
    std::vector<TarItem> items = {{"bin/busybox", '0', *busybox, "", 0755},
                                  {"etc/passwd", '0', "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home:/bin/sh\n"},
                                  {"etc/group", '0', "root:x:0:\n"},
                                  {"tmp/", '5', "", "", 01777},
                                  {"etc/lower", '0', "from below"}};
    for (const char* name :
         {"sh", "cat", "echo", "id", "rm", "mkdir", "touch", "ls", "test", "sleep", "ln", "chmod", "hostname", "env"}) {
      items.push_back({std::string{"bin/"} + name, '2', "", "busybox"});
    }
    ASSERT_TRUE(store_->import_rootfs(folder_.write("base.tar", tar(items)), {"busybox", {}, "", ""}));
  }
  Result<image::Image> build(const std::string& dockerfile) {
    folder_.write("ctx/Dockerfile", dockerfile);
    request_.build.context = folder_ / "ctx";
    request_.build.dockerfile = "Dockerfile";
    output_.clear();
    request_.progress = [this](const BuildEvent& event) {
      if (event.kind == BuildEvent::Kind::output) output_ += event.text + "\n";
    };
    return build::build(request_, *store_);
  }

  TempFolder folder_;
  std::optional<image::Store> store_;
  BuildRequest request_;
  std::string output_;
};

TEST_F(BuilderKernelTest, UpperDirectoryBecomesTheLayerAndNothingElse) {
  const auto image = build(
      "FROM busybox\nRUN echo made > /made && rm /etc/lower && mkdir -p /opt/a && chmod 700 /opt/a\n"
      "RUN cat /made && test ! -e /etc/lower && id && echo $0\n");
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_NE(output_.find("made\nuid=0(root)"), std::string::npos) << output_;
  ASSERT_EQ(image->layer_dirs.size(), 2U) << "the second step changed nothing";
  const std::string tree = image::testing::describe_tree(image->layer_dirs[0]);
  EXPECT_EQ(tree.find("proc"), std::string::npos) << tree;
  EXPECT_EQ(tree.find("resolv.conf"), std::string::npos) << tree;
  EXPECT_NE(tree.find("etc/lower 20000 0:0 0:0"), std::string::npos) << tree;
  EXPECT_NE(tree.find("opt/a 40700"), std::string::npos) << tree;
}

TEST_F(BuilderKernelTest, FailingStepGivesItsCodeAndOutput) {
  const auto image = build("FROM busybox\nRUN echo before && exit 42\n");
  ASSERT_FALSE(image);
  EXPECT_NE(image.error().message().find("exit code 42"), std::string::npos);
  EXPECT_EQ(output_, "before\n");
  const auto killed = build("FROM busybox\nRUN (sh -c 'kill -9 $$'); exit $?\n");
  ASSERT_FALSE(killed);
  EXPECT_NE(killed.error().message().find("exit code 137"), std::string::npos);
}

TEST_F(BuilderKernelTest, UserWorkdirShellAndHereDocument) {
  const auto image = build(
      "FROM busybox\nWORKDIR /w\nRUN chmod 777 /w\nUSER app\nENV E=env\nARG A=arg\nRUN <<EOF\nid -u\necho $E $A "
      "$HOME\ntouch mine\nEOF\n"
      "SHELL [\"/bin/sh\", \"-e\", \"-c\"]\nRUN ls -n mine\n");
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_NE(output_.find("1000\nenv arg /home\n"), std::string::npos) << output_;
  EXPECT_NE(output_.find("1000     1000"), std::string::npos) << output_;
}

TEST_F(BuilderKernelTest, CacheSecretTmpfsAndBindMounts) {
  folder_.write("ctx/in.txt", "bound");
  request_.build.secrets = {{"s", "", "", "", {}}};
  request_.secrets = {{"s", {"", "hush"}}};
  const std::string step =
      "RUN --mount=type=cache,target=/cache --mount=type=secret,id=s --mount=type=tmpfs,target=/t "
      "--mount=type=bind,target=/ctx "
      "--mount=type=bind,from=busybox,source=/etc,target=/base ";
  const auto first = build("FROM busybox\n" + step +
                           "cat /run/secrets/s /ctx/in.txt /base/lower && echo one >> /cache/f && touch /t/x\n");
  ASSERT_TRUE(first) << first.error().message();
  EXPECT_EQ(output_, "hushboundfrom below\n");
  EXPECT_EQ(first->layer_dirs.size(), 1U)
      << "mount points are no change: " << image::testing::describe_tree(first->layer_dirs[0]);
  const auto second = build("FROM busybox\n" + step + "echo two >> /cache/f && cat /cache/f\n");
  ASSERT_TRUE(second) << second.error().message();
  EXPECT_EQ(output_, "one\ntwo\n");
}

TEST_F(BuilderKernelTest, NoNetworkMeansNone) {
  const auto image = build("FROM busybox\nRUN --network=none cat /proc/net/route /proc/net/dev\n");
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_EQ(output_.find("eth0"), std::string::npos) << output_;
}

TEST_F(BuilderKernelTest, StepsCannotReachTheHost) {
  const auto image = build(
      "FROM busybox\nRUN test ! -e /proc/1/root/work && test ! -w /proc/sysrq-trigger && ! echo x > "
      "/proc/sys/kernel/hostname\n"
      "RUN test $(hostname) = buildkitsandbox\n");
  EXPECT_TRUE(image) << image.error().message();
}

TEST_F(BuilderKernelTest, MountsOfAStepStayInside) {  // CVE-2024-1753, CVE-2024-9675, CVE-2024-23652
  folder_.write("outside/secret", "hidden");
  const std::string outside = folder_ / "outside";
  folder_.write("ctx/x", "x");
  ASSERT_EQ(::symlink("../outside", (folder_ / "ctx/climb").c_str()), 0);
  ASSERT_EQ(::symlink(outside.c_str(), (folder_ / "ctx/absolute").c_str()), 0);
  for (const char* source : {"climb", "absolute", "../outside", "climb/secret"}) {
    (void)build(
        fmt::format("FROM busybox\nRUN --mount=type=bind,source={},target=/m cat /m/secret /m; true\n", source));
  }
  (void)build(
      fmt::format("FROM busybox AS evil\nRUN ln -s {} /door\nFROM busybox\n"
                  "RUN --mount=type=bind,from=evil,source=/door,target=/m cat /m/secret; true\n",
                  outside));
  for (const char* mount : {"type=cache", "type=tmpfs", "type=bind,rw"}) {
    (void)build(
        fmt::format("FROM busybox\nRUN ln -s {} /door\n"
                    "RUN --mount={},target=/door/new cat /door/secret; touch /door/new/made\n",
                    outside, mount));
  }
  EXPECT_EQ(output_.find("hidden"), std::string::npos) << output_;
  EXPECT_THAT(*sys::list_directory(outside), ::testing::ElementsAre("secret"));
}

TEST_F(BuilderKernelTest, CancelledAtAnyMomentTheStepEnds) {
  folder_.write("ctx/Dockerfile", "FROM busybox\nRUN sleep 1000\n");
  request_.build.context = folder_ / "ctx";
  // From before the runtime is started to after the command runs: what is tested is that the moment does not matter.
  for (int moment = 0; moment < 16; ++moment) {
    Cancellation cancellation;
    request_.cancellation = &cancellation;
    std::thread canceller;
    request_.progress = [&](const BuildEvent& event) {
      if (event.kind != BuildEvent::Kind::started) return;
      canceller = std::thread{[&cancellation, moment] {
        std::this_thread::sleep_for(std::chrono::milliseconds{2 * moment});
        cancellation.cancel();
      }};
    };
    const auto image = build::build(request_, *store_);
    canceller.join();
    ASSERT_FALSE(image);
    EXPECT_EQ(image.error().code(), Errc::cancelled) << image.error().message();
  }
}

TEST_F(BuilderKernelTest, ScratchWithAStaticProgram) {
  const auto image =
      build("FROM busybox AS tools\nFROM scratch\nCOPY --from=tools /bin/busybox /bin/sh\nRUN echo hi > /greeting\n");
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_TRUE(sys::exists(image->layer_dirs[0] + "/greeting"));
  EXPECT_EQ(image::testing::describe_tree(image->layer_dirs[0]).find("proc"), std::string::npos);
}

}  // namespace
}  // namespace compose::build

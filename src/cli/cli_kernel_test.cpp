// The program as people call it, on a busybox image, in a network namespace and with state roots of its own.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <poll.h>
#include <pty.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "base/ids.hpp"
#include "base/strings.hpp"
#include "cli/file_copy.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

namespace compose::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using Strings = std::vector<std::string>;

struct Finished {
  int code = -1;
  std::string out;
  std::string err;
};

class CliKernel : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (::geteuid() != 0 || ::access("/bin/busybox", X_OK) != 0) return;
    // Bridges, published ports and rules stay in this namespace and end with it.
    if (::unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) return;
    ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    const UniqueFd socket{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    ifreq lo{};
    std::snprintf(lo.ifr_name, sizeof lo.ifr_name, "lo");
    lo.ifr_flags = IFF_UP;
    if (::ioctl(socket.get(), SIOCSIFFLAGS, &lo) != 0) return;
    base_ = "/tmp/compose-cli-test-" + short_id(random_id());
    ready_ = sys::make_directories(base_ + "/rootfs/bin").ok() && make_rootfs();
  }
  static void TearDownTestSuite() {
    if (!base_.empty()) static_cast<void>(sys::remove_tree(base_).ok());
  }

  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "containers need root";
    if (::access("/bin/busybox", X_OK) != 0) GTEST_SKIP() << "/bin/busybox (package busybox-static) is missing";
    ASSERT_TRUE(ready_) << "the namespace or the root file system could not be made";
    project_ = "t" + short_id(random_id());
    folder_ = base_ + "/" + project_;
    ASSERT_TRUE(sys::make_directories(folder_));
    if (run({"image", "inspect", "busybox"}).code == 0) return;
    ASSERT_EQ(run({"image", "import", base_ + "/rootfs.tar", "busybox"}).code, 0);
  }
  void TearDown() override {
    if (!folder_.empty()) run({"down", "-v", "-t", "1", "--remove-orphans"});
  }

  void write(const std::string& name, const std::string& text) const {
    ASSERT_TRUE(sys::write_file_atomic(folder_ + "/" + name, text));
  }

  Strings command_line(const Strings& arguments) const {
    Strings all = {"compose", "--root", base_ + "/state", "--run-root", base_ + "/run", "-p", project_};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return all;
  }

  /// Runs the program with `input` on its standard input until it ends.
  Finished run(const Strings& arguments, const std::string& input = {}) const {
    int in[2];
    int out[2];
    int err[2];
    EXPECT_EQ(::pipe2(in, O_CLOEXEC) + ::pipe2(out, O_CLOEXEC) + ::pipe2(err, O_CLOEXEC), 0);
    sys::SpawnOptions options;
    options.program = COMPOSE_PROGRAM;
    options.arguments = command_line(arguments);
    options.working_directory = folder_.empty() ? base_ : folder_;
    options.fds = {{in[0], 0}, {out[1], 1}, {err[1], 2}};
    auto child = sys::spawn(options);
    EXPECT_TRUE(child);
    for (const int fd : {in[0], out[1], err[1]}) ::close(fd);
    Finished finished;
    std::thread writer{[&] {
      static_cast<void>(sys::write_all(in[1], input).ok());
      ::close(in[1]);
    }};
    std::thread reader{[&] { finished.err = sys::read_all(err[0]).value_or(""); }};
    finished.out = sys::read_all(out[0]).value_or("");
    writer.join();
    reader.join();
    ::close(out[0]);
    ::close(err[0]);
    finished.code = sys::wait_child(child->pid).value().code;
    return finished;
  }

  inline static std::string base_;
  inline static bool ready_ = false;
  std::string project_;
  std::string folder_;

 private:
  static bool make_rootfs() {
    const std::string root = base_ + "/rootfs";
    const auto busybox = sys::read_file("/bin/busybox");
    if (!busybox || !sys::write_file_atomic(root + "/bin/busybox", *busybox, 0755)) return false;
    for (const char* name : {"sh", "sleep", "cat", "echo", "id", "stty", "ls", "true", "false", "kill"})
      if (::symlink("busybox", (root + "/bin/" + name).c_str()) != 0) return false;
    for (const char* name : {"/etc", "/tmp", "/proc", "/sys", "/dev"})
      if (!sys::make_directories(root + name)) return false;
    const UniqueFd folder{::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    const UniqueFd out{::open((base_ + "/rootfs.tar").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)};
    return write_tar(folder.get(), ".", ".", out.get()).ok();
  }
};

constexpr const char* kLoop =
    "services:\n"
    "  web:\n"
    "    image: busybox\n"
    "    stop_grace_period: 2s\n"
    "    command: [sh, -c, \"trap 'echo bye; exit 3' TERM; echo hello; echo oops >&2; while true; do sleep 0.05; "
    "done\"]\n";

TEST_F(CliKernel, UpPsLogsExecDown) {
  write("compose.yaml", kLoop);
  const Finished up = run({"up", "-d"});
  ASSERT_EQ(up.code, 0) << up.err;
  EXPECT_THAT(up.err, HasSubstr(" Container " + project_ + "-web-1 Started \n"));
  EXPECT_EQ(up.out, "");
  const Finished ps = run({"ps", "--format", "{{.Service}} {{.State}}"});
  EXPECT_EQ(ps.out, "web running\n") << ps.err;
  EXPECT_EQ(run({"ps", "--services"}).out, "web\n");
  EXPECT_EQ(run({"exec", "-T", "web", "echo", "inside"}).out, "inside\n");
  EXPECT_EQ(run({"exec", "-T", "web", "sh", "-c", "exit 7"}).code, 7);
  EXPECT_EQ(run({"exec", "-T", "web", "sh", "-c", "kill -9 $$"}).code, 137);
  EXPECT_EQ(run({"exec", "-T", "web", "cat"}, "through\n").out, "through\n");
  EXPECT_EQ(run({"exec", "-T", "web", "nosuch"}).code, 127);
  const Finished again = run({"up", "-d"});
  EXPECT_THAT(again.err, HasSubstr("web-1 Running"));
  const Finished logs = run({"logs"});
  EXPECT_EQ(logs.out, "web-1  | hello\n");
  EXPECT_EQ(logs.err, "web-1  | oops\n");
  EXPECT_EQ(run({"stop"}).code, 0);
  EXPECT_THAT(run({"ps", "-a"}).out, HasSubstr("Exited (3)"));
  const Finished down = run({"down"});
  EXPECT_EQ(down.code, 0) << down.err;
  EXPECT_EQ(run({"ps", "-aq"}).out, "");
}

TEST_F(CliKernel, RunCarriesInputOutputAndExitCode) {
  write("compose.yaml", kLoop);
  std::string big(3'000'000, 'x');
  for (std::size_t i = 0; i < big.size(); i += 997) big[i] = '\n';
  const Finished cat = run({"run", "--rm", "-T", "--quiet", "web", "cat"}, big);
  EXPECT_EQ(cat.code, 0) << cat.err;
  EXPECT_TRUE(cat.out == big) << cat.out.size();
  EXPECT_EQ(run({"run", "--rm", "-T", "-q", "web", "sh", "-c", "exit 9"}).code, 9);
  EXPECT_EQ(run({"run", "--rm", "-T", "-q", "-e", "A=b c", "web", "sh", "-c", "echo $A"}).out, "b c\n");
  const Finished missing = run({"run", "--rm", "-T", "-q", "web", "nosuch"});
  EXPECT_EQ(missing.code, 127);
  EXPECT_THAT(missing.err, HasSubstr("nosuch"));
  EXPECT_EQ(run({"ps", "-aq"}).out, "");
}

TEST_F(CliKernel, AttachedUpReturnsTheChosenCode) {
  write("compose.yaml",
        "services:\n  a:\n    image: busybox\n    command: [sh, -c, \"echo from a; exit 5\"]\n"
        "  b:\n    image: busybox\n    stop_grace_period: 1s\n    command: [sleep, \"100\"]\n");
  const Finished up = run({"up", "--exit-code-from", "a"});
  EXPECT_EQ(up.code, 5) << up.err;
  EXPECT_THAT(up.out, StartsWith("Attaching to a-1, b-1\n"));
  EXPECT_THAT(up.out, HasSubstr("a-1  | from a\n"));
  EXPECT_THAT(up.out, HasSubstr("a-1 exited with code 5\n"));
  EXPECT_THAT(up.out, HasSubstr("Aborting on container exit...\n"));
}

TEST_F(CliKernel, MissingImageNamesServiceAndPlace) {
  write("compose.yaml", "services:\n  web:\n    image: no-such-image:1\n");
  const Finished up = run({"up", "-d"});
  EXPECT_EQ(up.code, 1);
  EXPECT_THAT(up.err, HasSubstr("compose.yaml:3:12: service \"web\": image \"no-such-image:1\" is not on this host"));
}

TEST_F(CliKernel, CopiesExportsAndCommits) {
  write("compose.yaml", kLoop);
  ASSERT_EQ(run({"up", "-d"}).code, 0);
  write("file", "content\n");
  EXPECT_EQ(run({"cp", "file", "web:/tmp/copy"}).code, 0);
  EXPECT_EQ(run({"exec", "-T", "web", "cat", "/tmp/copy"}).out, "content\n");
  const Finished out = run({"cp", "web:/tmp", "fetched"});
  EXPECT_EQ(out.code, 0) << out.err;
  EXPECT_EQ(sys::read_file(folder_ + "/fetched/copy").value_or("nothing"), "content\n");
  EXPECT_THAT(run({"cp", "web:/tmp/copy", "-"}).out, HasSubstr("content\n"));
  const Finished exported = run({"export", "web"});
  EXPECT_EQ(exported.code, 0) << exported.err;
  EXPECT_THAT(exported.out, HasSubstr("tmp/copy"));
  const Finished commit = run({"commit", "-c", "CMD [\"cat\", \"/tmp/copy\"]", "web", "committed:1"});
  EXPECT_EQ(commit.code, 0) << commit.err;
  write("other.yaml", "services:\n  c:\n    image: committed:1\n");
  EXPECT_EQ(run({"-f", "other.yaml", "run", "--rm", "-T", "-q", "c"}).out, "content\n");
}

TEST_F(CliKernel, CopiesNothingThroughLinksToTheHost) {  // CVE-2018-15664, CVE-2019-10152
  write("compose.yaml", kLoop);
  ASSERT_EQ(run({"up", "-d"}).code, 0);
  const std::string outside = folder_ + "/outside";
  ASSERT_TRUE(sys::make_directories(outside));
  write("outside/secret", "hidden");
  write("file", "content");
  const std::string climb = "../../../../../../.." + outside;
  ASSERT_EQ(run({"exec", "-T", "web", "busybox", "ln", "-s", outside, "/tmp/door"}).code, 0);
  ASSERT_EQ(run({"exec", "-T", "web", "busybox", "ln", "-s", climb, "/tmp/climb"}).code, 0);
  const auto attack = [&](const char* when) {
    for (const std::string door : {"web:/tmp/door", "web:/tmp/climb"}) {
      // The last round may have put a file of the container's in the link's place: that one may be copied.
      (void)run({"cp", door + "/secret", "stolen"});
      (void)run({"cp", "-L", door, "linked"});
      for (const char* name : {"/stolen", "/linked", "/linked/secret"}) {
        EXPECT_NE(sys::read_file(folder_ + name).value_or(""), "hidden") << when << " " << door;
      }
      (void)run({"cp", "file", door + "/new"});
      (void)run({"cp", "file", door});
    }
    EXPECT_THAT(*sys::list_directory(outside), ElementsAre("secret")) << when;
  };
  attack("while it runs");
  ASSERT_EQ(run({"stop"}).code, 0);
  attack("when it has stopped");
}

/// A program on a terminal of its own.
class Terminal {
 public:
  Terminal(const Strings& arguments, const std::string& folder, unsigned short columns) {
    const winsize size{24, columns, 0, 0};
    std::vector<char*> argv;
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    pid_ = ::forkpty(&master_, nullptr, nullptr, &size);
    if (pid_ != 0) return;
    if (::chdir(folder.c_str()) == 0) ::execv(COMPOSE_PROGRAM, argv.data());
    ::_exit(126);
  }
  ~Terminal() { ::close(master_); }

  /// Reads until `text` has come, or everything has; false when it did not within ten seconds.
  bool wait_for(const std::string& text) {
    while (seen.find(text, from_) == std::string::npos)
      if (!read_more()) return false;
    from_ = seen.find(text, from_) + text.size();
    return true;
  }
  void type(const std::string& text) const { ASSERT_TRUE(sys::write_all(master_, text)); }
  void resize(unsigned short rows, unsigned short columns) const {
    const winsize size{rows, columns, 0, 0};
    ::ioctl(master_, TIOCSWINSZ, &size);
  }
  int finish() {
    while (read_more()) {
    }
    int status = 0;
    ::waitpid(pid_, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  std::string seen;

 private:
  bool read_more() {
    pollfd polled{master_, POLLIN, 0};
    char buffer[4096];
    if (::poll(&polled, 1, 10000) <= 0) return false;
    const ssize_t size = ::read(master_, buffer, sizeof buffer);
    if (size <= 0) return false;
    seen.append(buffer, static_cast<std::size_t>(size));
    return true;
  }
  int master_ = -1;
  pid_t pid_ = -1;
  std::size_t from_ = 0;
};

TEST_F(CliKernel, CtrlCStopsAnAttachedUp) {
  write("compose.yaml", kLoop);
  Terminal terminal{command_line({"up"}), folder_, 80};
  ASSERT_TRUE(terminal.wait_for("Attaching to web-1")) << terminal.seen;
  ASSERT_TRUE(terminal.wait_for("hello")) << terminal.seen;
  terminal.type("\x03");
  EXPECT_TRUE(terminal.wait_for("Gracefully Stopping... press Ctrl+C again to force")) << terminal.seen;
  EXPECT_EQ(terminal.finish(), 130) << terminal.seen;
  EXPECT_THAT(terminal.seen, HasSubstr("web-1 exited with code 3"));
  EXPECT_THAT(run({"ps", "-a"}).out, HasSubstr("Exited (3)"));
}

TEST_F(CliKernel, SecondCtrlCKills) {
  write("compose.yaml",
        "services:\n  web:\n    image: busybox\n    stop_grace_period: 60s\n"
        "    command: [sh, -c, \"trap '' TERM; echo hello; while true; do sleep 0.05; done\"]\n");
  Terminal terminal{command_line({"up"}), folder_, 30};
  ASSERT_TRUE(terminal.wait_for("hello")) << terminal.seen;
  terminal.type("\x03");
  ASSERT_TRUE(terminal.wait_for("Gracefully")) << terminal.seen;
  terminal.type("\x03");
  EXPECT_EQ(terminal.finish(), 130);
  EXPECT_THAT(run({"ps", "-a"}).out, HasSubstr("Exited (137)"));
}

TEST_F(CliKernel, DetachLeavesTheContainersRunning) {
  write("compose.yaml", kLoop);
  Terminal terminal{command_line({"up"}), folder_, 80};
  ASSERT_TRUE(terminal.wait_for("hello")) << terminal.seen;
  terminal.type("d");
  EXPECT_EQ(terminal.finish(), 0) << terminal.seen;
  EXPECT_EQ(run({"ps", "--format", "{{.State}}"}).out, "running\n");
}

TEST_F(CliKernel, ExecAndRunHaveARealTerminal) {
  write("compose.yaml", kLoop);
  ASSERT_EQ(run({"up", "-d"}).code, 0);
  for (const Strings& how : {Strings{"exec", "web", "sh"}, Strings{"run", "--rm", "-q", "web", "sh"}}) {
    Terminal terminal{command_line(how), folder_, 80};
    ASSERT_TRUE(terminal.wait_for("# ")) << terminal.seen;
    terminal.type("stty size\n");
    EXPECT_TRUE(terminal.wait_for("\n24 80")) << terminal.seen;
    terminal.resize(30, 100);
    terminal.type("stty size\n");
    EXPECT_TRUE(terminal.wait_for("\n30 100")) << terminal.seen;
    terminal.type("exit 6\n");
    EXPECT_EQ(terminal.finish(), 6) << terminal.seen;
  }
}

}  // namespace
}  // namespace compose::cli

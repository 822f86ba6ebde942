#pragma once
// Containers for kernel tests: a busybox root in a temporary folder, control groups of the test's own, nothing left.
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "runtime/launch/plan.hpp"
#include "runtime/monitor/client.hpp"
#include "runtime/spec/spec.hpp"

namespace compose::runtime::testing {

/// Why containers cannot be started here; empty if they can.
std::string why_not();

/// A folder below /tmp that goes with its owner.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// A root with busybox as /bin/sh and the usual folders, /etc/passwd and /etc/group; made once per folder.
void make_root(const std::string& path);

/// Docker's default container around `args`: namespaces, mounts, capabilities, masked paths; root.path = "rootfs".
spec::Spec default_spec(std::vector<std::string> args);
/// A filter that refuses what Docker's default profile refuses and the tests ask for.
spec::Seccomp default_seccomp();

/// The next event of a client, waiting at most 20 s.
monitor::Event next_event(monitor::Client& client);

/// Folders and a request for one monitored container; the test changes `spec` and `request` before start().
class Bench : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;
  spec::Spec spec;
  monitor::Request request;
  launch::CompileRequest compile_request;

  /// Compiles and spawns; the test fails if that does.
  monitor::Client start();
  /// Runs `sh -c script` to its end; gives the log's text without times.
  struct Outcome {
    monitor::Event last;
    std::string output, errors;
  };
  Outcome run(const std::string& script);
  /// The output of a script that must end well.
  std::string output_of(const std::string& script);
  Outcome finish(monitor::Client& client);
  std::string log_text(const char* stream) const;

  TempFolder folder;
};

}  // namespace compose::runtime::testing

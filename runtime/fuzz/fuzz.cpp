#include "runtime/fuzz/fuzz.hpp"

#include <cstdio>
#include <cstdlib>

#include "runtime/launch/plan.hpp"
#include "runtime/monitor/request.hpp"
#include "runtime/monitor/wire.hpp"
#include "runtime/spec/spec.hpp"

namespace compose::runtime::fuzz {
namespace {

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

/// A machine with every controller, so that all of the compiler is reached.
launch::HostFacts facts() {
  launch::HostFacts facts;
  facts.cgroups.hierarchies.push_back(
      {cgroup::Version::v2, "/sys/fs/cgroup", "/", {"cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma"}});
  facts.apparmor = facts.selinux = true;
  facts.init_program = "/libexec/compose-init";
  return facts;
}

}  // namespace

void config(std::string_view bytes) {
  auto parsed = spec::parse(bytes);
  if (!parsed) return;
  const std::string json = spec::to_json(*parsed);
  auto again = spec::parse(json);
  require(again.ok(), "a written configuration cannot be read");
  require(spec::to_json(*again) == json, "a configuration changes when it is written");
  launch::CompileRequest request;
  request.spec = std::move(*parsed);
  request.container_id = "c";
  request.bundle = "/bundle";
  const auto plan = launch::compile(request, facts());
  if (!plan) return;
  const std::string text = launch::serialize(*plan);
  const auto copy = launch::deserialize(text);
  require(copy.ok() && launch::serialize(*copy) == text, "a plan changes on its way to the monitor");
}

void messages(std::string_view bytes) {
  if (const auto event = monitor::wire::decode_event(bytes)) {
    if (event->message.size() <= 8192) {
      require(monitor::wire::encode(*event) == bytes, "an event changes when it is written");
    }
  }
  if (const auto numbers = monitor::wire::decode_numbers(bytes)) {
    require(monitor::wire::encode_numbers(bytes[0], numbers->first, numbers->second) == bytes,
            "numbers change when they are written");
  }
  if (const auto request = monitor::deserialize(bytes)) {
    require(monitor::serialize(*request) == bytes, "a request changes when it is written");
  }
  if (const auto plan = launch::deserialize(bytes)) {
    require(launch::serialize(*plan) == bytes, "a plan changes when it is written");
    (void)launch::to_text(*plan);
  }
}

}  // namespace compose::runtime::fuzz

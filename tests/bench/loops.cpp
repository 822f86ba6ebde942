// The inner loops, alone: build/release/tests/bench/bench_loops [--benchmark_filter=…]
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "compose/load/fake_files.hpp"
#include "compose/load/load.hpp"
#include "compose/plan/test_world.hpp"
#include "net/dns/responder.hpp"
#include "net/dns/test_messages.hpp"
#include "runtime/launch/plan.hpp"
#include "runtime/spec/spec.hpp"
#include "yaml/parse.hpp"

namespace compose {
namespace {

std::string base_file(int services) {
  std::string text = "services:\n";
  for (int i = 0; i < services; ++i) {
    text += fmt::format(
        "  svc{0}:\n    image: app:{0}\n    ports: ['{1}:80']\n    environment: {{A: '{0}', B: \"${{HOME}}\"}}\n"
        "    volumes: ['./data{0}:/data']\n    healthcheck: {{test: [CMD, 'true'], interval: 10s}}\n",
        i, 10000 + i);
  }
  return text;
}

std::string override_file(int services) {
  std::string text = "services:\n";
  for (int i = 0; i < services; ++i) {
    text += fmt::format("  svc{0}:\n    environment: {{C: '{0}'}}\n    restart: always\n", i);
  }
  return text;
}

void read_yaml(benchmark::State& state) {
  const std::string text = base_file(static_cast<int>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(yaml::parse(text, 1));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(text.size()));
}
BENCHMARK(read_yaml)->Arg(100)->Arg(1000)->Unit(benchmark::kMillisecond);

void load_and_merge(benchmark::State& state) {
  const int services = static_cast<int>(state.range(0));
  load::FakeFiles files;
  files.set("/p/compose.yaml", base_file(services));
  files.set("/p/prod.yaml", override_file(services));
  load::Options options;
  options.working_dir = "/p";
  options.files = {"compose.yaml", "prod.yaml"};
  options.env = {{"HOME", "/root"}};
  for (auto _ : state) {
    const load::LoadResult loaded = load::load(options, files);
    if (!loaded.ok()) return state.SkipWithError(loaded.report().c_str());
  }
}
BENCHMARK(load_and_merge)->Arg(10)->Arg(100)->Arg(1000)->Unit(benchmark::kMillisecond);

// A project that runs, one service in ten changed.
void reconcile(benchmark::State& state) {
  plan::World world;
  world.network("default");
  world.existing_network("default");
  for (int i = 0; i < state.range(0); ++i) {
    const std::string name = fmt::format("svc{}", i);
    world.service(name).networks["default"] = {};
    if (i > 0) world.depends(name, fmt::format("svc{}", i / 2));
    world.container(name);
    if (i % 10 == 0) world.hashes[name] = "v2";
  }
  const plan::Desired desired{world.project, world.images, world.hashes};
  for (auto _ : state) {
    const auto plan = plan::reconcile(desired, world.observed, world.options);
    if (!plan.ok()) return state.SkipWithError(plan.error().message().c_str());
  }
}
BENCHMARK(reconcile)->Arg(10)->Arg(100)->Arg(900)->Unit(benchmark::kMicrosecond);

void answer_dns(benchmark::State& state) {
  auto zone = std::make_shared<net::dns::Zone>("shop_default");
  for (int i = 0; i < state.range(0); ++i) {
    net::dns::Member member;
    member.id = fmt::format("{:064x}", i);
    member.names = {fmt::format("svc{}", i), fmt::format("shop-svc{}-1", i)};
    member.addresses = {*net::IpAddress::parse(fmt::format("10.1.{}.{}", i / 250, i % 250 + 2))};
    zone->put(std::move(member));
  }
  net::dns::ZoneView view;
  view.zones = {zone};
  const auto query = net::dns::testing::query("svc7", 1, 1232);
  std::uint32_t rotation = 0;
  for (auto _ : state) {
    const auto decision = net::dns::Responder::decide(query, view, net::dns::Transport::udp, ++rotation);
    if (decision.kind != net::dns::Decision::Kind::answer) return state.SkipWithError("svc7 is not known");
  }
}
BENCHMARK(answer_dns)->Arg(10)->Arg(1000)->Unit(benchmark::kNanosecond);

void compile_spec(benchmark::State& state) {
  constexpr std::string_view kConfig = R"({"ociVersion":"1.0.2","root":{"path":"rootfs"},"process":{"args":["true"],
    "cwd":"/","capabilities":{"bounding":["CAP_CHOWN","CAP_KILL"],"effective":["CAP_CHOWN"]}},
    "mounts":[{"destination":"/proc","type":"proc","source":"proc"},
              {"destination":"/dev","type":"tmpfs","source":"tmpfs","options":["nosuid","mode=755"]}],
    "linux":{"namespaces":[{"type":"pid"},{"type":"mount"},{"type":"network"},{"type":"ipc"},{"type":"uts"}],
             "maskedPaths":["/proc/kcore"],"readonlyPaths":["/proc/sys"]}})";
  runtime::launch::HostFacts facts;
  for (auto _ : state) {
    runtime::launch::CompileRequest request;
    auto spec = runtime::spec::parse(kConfig);
    if (!spec.ok()) return state.SkipWithError(spec.error().message().c_str());
    request.spec = *std::move(spec);
    request.container_id = "bench";
    request.bundle = "/bundle";
    const auto plan = runtime::launch::compile(request, facts);
    if (!plan.ok()) return state.SkipWithError(plan.error().message().c_str());
  }
}
BENCHMARK(compile_spec)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace compose

BENCHMARK_MAIN();

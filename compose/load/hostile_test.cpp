// Input made to hurt: each is refused with a message, within the time and memory stated here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>

#include "compose/load/fake_files.hpp"
#include "compose/load/load.hpp"

namespace compose::load {
namespace {

// A build with sanitizers or without optimisation is an order of magnitude slower than what users run.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
constexpr int kSlower = 10;
#else
constexpr int kSlower = 1;
#endif
constexpr auto kMostTime = std::chrono::seconds(5 * kSlower);
constexpr long kMostKilobytes = 600L * 1024 * kSlower;

long peak_kilobytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

void refused(FakeFiles files, std::string_view message, Options options = {}) {
  if (options.working_dir == "/") options.working_dir = "/p";
  const auto start = std::chrono::steady_clock::now();
  const LoadResult loaded = load(options, files);
  const auto taken = std::chrono::steady_clock::now() - start;
  ASSERT_FALSE(loaded.ok()) << "accepted";
  EXPECT_THAT(loaded.report(), testing::HasSubstr(std::string(message)));
  EXPECT_LT(loaded.report().size(), 100'000U) << "the report itself must stay short";
  EXPECT_LT(taken, kMostTime);
  EXPECT_LT(peak_kilobytes(), kMostKilobytes);
}

FakeFiles compose(std::string text) { return {{"/p/compose.yaml", std::move(text)}}; }

TEST(Hostile, AliasBombs) {
  std::string bomb = "x0: &x0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n";
  for (int i = 1; i < 12; ++i) {
    bomb += "x" + std::to_string(i) + ": &x" + std::to_string(i) + " [";
    for (int k = 0; k < 10; ++k) bomb += "*x" + std::to_string(i - 1) + ",";
    bomb += "]\n";
  }
  refused(compose(bomb), "excessive aliasing");
}

TEST(Hostile, DeepNesting) {
  refused(compose("a: " + std::string(10000, '[') + std::string(10000, ']')), "nested more than");
  std::string blocks;
  for (int i = 0; i < 10000; ++i) blocks += std::string(static_cast<std::size_t>(i), ' ') + "a:\n";
  refused(compose(blocks.substr(0, 20'000'000)), "nested more than");
  std::string flow;
  for (int i = 0; i < 10000; ++i) flow += "{a: ";
  refused(compose(flow), "nested more than");
}

TEST(Hostile, HugeTexts) {
  refused(compose("services: {web: {image: x}}\n#" + std::string(100U << 20U, 'x')), "larger than");
  refused(compose("a: [" + std::string(20U << 20U, ',') + "]"), "");
}

TEST(Hostile, ManyMistakes) {
  std::string text = "services:\n  web:\n    image: x\n";
  for (int i = 0; i < 20000; ++i) text += "    wrong" + std::to_string(i) + ": 1\n";
  Options options;
  options.working_dir = "/p";
  FakeFiles files = compose(text);
  const auto start = std::chrono::steady_clock::now();
  const LoadResult loaded = load(options, files);
  EXPECT_FALSE(loaded.ok());
  EXPECT_LE(loaded.diagnostics.all().size(), 1000U);
  EXPECT_LT(std::chrono::steady_clock::now() - start, kMostTime);
}

TEST(Hostile, Cycles) {
  refused(compose("a: &a\n  b: *a\n"), "contains itself");
  refused(compose("a: &a {<<: *a}\n"), "contains itself");
  refused(compose("services: {a: {image: x, extends: a}}\n"), "circular reference");
  refused({{"/p/compose.yaml", "services: {a: {extends: {file: b.yaml, service: b}}}\n"},
           {"/p/b.yaml", "services: {b: {extends: {file: compose.yaml, service: a}}}\n"}},
          "circular reference");
  refused({{"/p/compose.yaml", "include: [a.yaml]\n"}, {"/p/a.yaml", "include: [compose.yaml]\n"}}, "include cycle");
  refused({{"/p/compose.yaml", "include: [../p/compose.yaml]\n"}}, "include cycle");
  refused(compose("services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [a]}}\n"), "cycle detected");
}

TEST(Hostile, LongChains) {
  std::string text = "services:\n  s0: {image: x}\n";
  for (int i = 1; i < 20000; ++i) {
    text += "  s" + std::to_string(i) + ": {extends: s" + std::to_string(i - 1) + "}\n";
  }
  std::string backwards = "services:\n";
  for (int i = 20000; i > 0; --i) {
    backwards += "  s" + std::to_string(i) + ": {image: x, extends: s" + std::to_string(i - 1) + "}\n";
  }
  refused(compose(backwards), "extend one another");
  std::string dependent = "services:\n";
  for (int i = 0; i < 20000; ++i) {
    dependent += "  s" + std::to_string(i) + ": {image: x, depends_on: [s" + std::to_string(i + 1) + "]}\n";
  }
  refused(compose(dependent), "undefined service");
  FakeFiles includes;
  for (int i = 0; i < 500; ++i) {
    includes.set("/p/" + std::to_string(i) + ".yaml", "include: [" + std::to_string(i + 1) + ".yaml]\n");
  }
  Options options;
  options.working_dir = "/p";
  options.files = {"0.yaml"};
  refused(includes, "include one another", options);
}

TEST(Hostile, PortRanges) {
  std::string text = "services:\n  web:\n    image: x\n    ports:\n";
  for (int i = 0; i < 1000; ++i)
    text += "      - 1-65535\n      - 127.0.0." + std::to_string(i % 250) + ":1-65535:1-65535\n";
  refused(compose(text), "more than 100000 ports");
}

TEST(Hostile, BrokenBytes) {
  refused(compose(std::string("services: {web: {image: \"a\0b\"}}\n", 32)), "control characters");
  refused(compose("services: {web: {image: \"\xff\xfe\"}}\n"), "invalid UTF-8");
  refused(compose("services: {web: {image: \"\xed\xa0\x80\"}}\n"), "invalid UTF-8");
  refused(compose("a: 1\na: 2\n"), "already defined");
}

TEST(Hostile, Interpolation) {
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "${A:-";
  refused(compose("services: {web: {image: \"" + deep + std::string(100000, '}') + "\"}}\n"), "nested more than");
  FakeFiles files{{"/p/compose.yaml", "services: {web: {image: \"x${A}\"}}\n"}, {"/p/.env", "A=${A}\nB=$B$B\n"}};
  Options options;
  options.working_dir = "/p";
  EXPECT_TRUE(load(options, files).ok()) << "a variable that names itself is empty, not endless";
  // Values that double on every line.
  std::string doubling = "A0=xxxxxxxxxxxxxxxx\n";
  for (int i = 1; i < 60; ++i) {
    doubling += "A" + std::to_string(i) + "=$A" + std::to_string(i - 1) + "$A" + std::to_string(i - 1) + "\n";
  }
  refused({{"/p/compose.yaml", "services: {web: {image: x}}\n"}, {"/p/.env", doubling}}, "grows without bound");
}

}  // namespace
}  // namespace compose::load

// Every fuzz target over its corpus, whole, cut short, and with single bytes changed.
#include <gtest/gtest.h>
#include <unistd.h>

#include "image/fuzz/fuzz.hpp"
#include "sys/file.hpp"

namespace compose::image::fuzz {
namespace {

struct Target {
  const char* corpus;
  void (*run)(std::string_view);
  std::size_t variants;
  bool root;
};

class Corpus : public ::testing::TestWithParam<Target> {};

TEST_P(Corpus, NeitherFilesNorDamagedCopiesBreakAnything) {
  const Target& target = GetParam();
  if (target.root && ::geteuid() != 0) GTEST_SKIP() << "layers keep the owners of their files, which needs root";
  const std::string folder = std::string{COMPOSE_CORPUS} + "/" + target.corpus;
  const Result<std::vector<std::string>> names = sys::list_directory(folder);
  ASSERT_TRUE(names && !names->empty()) << folder;
  for (const std::string& name : *names) {
    const Result<std::string> bytes = sys::read_file(folder + "/" + name);
    ASSERT_TRUE(bytes);
    target.run(*bytes);
    const std::size_t step = bytes->size() / target.variants + 1;
    for (std::size_t at = 0; at < bytes->size(); at += step) {
      target.run(std::string_view{*bytes}.substr(0, at));
      std::string changed = *bytes;
      changed[at] = static_cast<char>(changed[at] ^ static_cast<char>(1 + at % 255));
      target.run(changed);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Image, Corpus,
                         ::testing::Values(Target{"tar", tar, 500, false}, Target{"tar", layer, 20, true},
                                           Target{"config", config, 500, false},
                                           Target{"reference", reference, 100, false},
                                           Target{"manifest", manifest, 500, false},
                                           Target{"archive", archive, 20, true}));

}  // namespace
}  // namespace compose::image::fuzz

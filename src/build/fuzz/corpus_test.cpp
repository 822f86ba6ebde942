#include <gtest/gtest.h>

#include "build/fuzz/fuzz.hpp"
#include "sys/file.hpp"

namespace compose::build::fuzz {
namespace {

TEST(DockerfileCorpus, NeitherFilesNorDamagedCopiesBreakAnything) {
  const Result<std::vector<std::string>> names = sys::list_directory(COMPOSE_CORPUS);
  ASSERT_TRUE(names && !names->empty());
  for (const std::string& name : *names) {
    const Result<std::string> bytes = sys::read_file(std::string{COMPOSE_CORPUS} + "/" + name);
    ASSERT_TRUE(bytes);
    dockerfile(*bytes);
    for (std::size_t at = 0; at < bytes->size(); ++at) {
      dockerfile(std::string_view{*bytes}.substr(0, at));
      std::string changed = *bytes;
      changed[at] = "\n\\\"'$#{}[]<- \t"[at % 14];
      dockerfile(changed);
    }
  }
}

}  // namespace
}  // namespace compose::build::fuzz

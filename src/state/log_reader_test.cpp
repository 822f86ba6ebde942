#include "state/log_reader.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cstdio>
#include <cstdlib>

#include "sys/file.hpp"
#include "sys/process.hpp"

namespace compose::state {
namespace {

class LogTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string directory = testing::TempDir() + "log.XXXXXX";
    ASSERT_NE(::mkdtemp(directory.data()), nullptr);
    paths_ = Paths{directory, directory + "/run"};
  }
  void TearDown() override { EXPECT_TRUE(sys::remove_tree(paths_.root())); }

  static std::string line(const std::string& text, char tag = 'F',
                          const char* time = "2026-01-01T00:00:00.000000000Z") {
    return std::string{time} + " stdout " + tag + " " + text + "\n";
  }
  void append(const std::string& path, const std::string& text) const {
    FILE* file = std::fopen(path.c_str(), "ae");
    ASSERT_NE(file, nullptr);
    ASSERT_EQ(std::fwrite(text.data(), 1, text.size(), file), text.size());
    ASSERT_EQ(std::fclose(file), 0);
  }
  std::vector<std::string> read(const LogQuery& query = {}) const {
    std::vector<std::string> texts;
    EXPECT_TRUE(read_log(path(), query, [&](const LogLine& entry) {
      texts.emplace_back(entry.text);
      return true;
    }));
    return texts;
  }
  std::string path() const { return paths_.root() + "/log"; }

  /// As a monitor does it: the comment in the header names the original.
  static void compress(const std::string& from, const std::string& to) {
    struct stat status{};
    ASSERT_EQ(::stat(from.c_str(), &status), 0);
    const auto text = sys::read_file(from);
    ASSERT_TRUE(text);
    z_stream stream{};
    ASSERT_EQ(::deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    std::string comment = "inode " + std::to_string(status.st_ino);
    gz_header header{};
    header.comment = reinterpret_cast<Bytef*>(comment.data());
    ::deflateSetHeader(&stream, &header);
    std::string out(text->size() + 1000, '\0');
    std::string in = *text;
    stream.next_in = reinterpret_cast<Bytef*>(in.data());
    stream.avail_in = static_cast<uInt>(in.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    ASSERT_EQ(::deflate(&stream, Z_FINISH), Z_STREAM_END);
    out.resize(out.size() - stream.avail_out);
    ::deflateEnd(&stream);
    ASSERT_TRUE(sys::write_file_atomic(to, out));
    ASSERT_EQ(::unlink(from.c_str()), 0);
  }
  void make_container(const std::string& id, const std::string& service) const {
    ASSERT_TRUE(sys::make_directories(paths_.container("p", id)));
    ContainerRecord r;
    r.id = id;
    r.name = "p-" + service + "-1";
    r.project = "p";
    r.service = service;
    r.phase = Phase::running;
    r.pid = ::getpid();
    r.start_time = sys::process_start_time(r.pid);
    r.boot_id = sys::boot_id();
    ASSERT_TRUE(save_record(paths_, r));
  }
  static std::vector<std::string> drain(LogFollower& follower) {
    std::vector<std::string> texts;
    EXPECT_TRUE(follower.drain([&](const FollowedLine& followed) {
      texts.push_back(followed.container->id + ":" + std::string{followed.line.text});
    }));
    return texts;
  }
  static bool readable(const LogFollower& follower) {
    pollfd poller{follower.fd(), POLLIN, 0};
    return ::poll(&poller, 1, 0) == 1;
  }

  Paths paths_{"", ""};
};

using Texts = std::vector<std::string>;

TEST(LogLine, KnowsStreamTagAndText) {
  std::string scratch;
  const auto full = parse_log_line("2026-01-01T00:00:00.5Z stderr F a b ", scratch);
  ASSERT_TRUE(full);
  EXPECT_TRUE(full->to_stderr);
  EXPECT_FALSE(full->partial);
  EXPECT_EQ(full->text, "a b ");
  EXPECT_TRUE(parse_log_line("2026-01-01T00:00:00Z stdout P x", scratch)->partial);
  EXPECT_EQ(parse_log_line("2026-01-01T00:00:00Z stdout F ", scratch)->text, "");
  for (const char* bad : {"", "x", "2026-01-01T00:00:00Z stdout", "2026-01-01T00:00:00Z stdin F x", "y stdout F x"}) {
    EXPECT_FALSE(parse_log_line(bad, scratch)) << bad;
  }
}

TEST(LogLine, ReadsTheJsonOfDocker) {
  std::string scratch;
  const auto read = [&](const char* line) { return parse_log_line(line, scratch); };
  const auto full =
      read(R"({"log":"a \"b\" \u00e9\ud83d\ude42\t\\\n","stream":"stderr","time":"2026-01-01T00:00:00.5Z"})");
  ASSERT_TRUE(full);
  EXPECT_EQ(full->text, "a \"b\" \xC3\xA9\xF0\x9F\x99\x82\t\\");
  EXPECT_EQ(full->timestamp, "2026-01-01T00:00:00.5Z");
  EXPECT_TRUE(full->to_stderr);
  EXPECT_FALSE(full->partial);
  const auto open =
      read(R"({"log":"x","stream":"stdout","attrs":{"a":"}\""},"time":"2026-01-01T00:00:00.123456789Z"})");
  ASSERT_TRUE(open);
  EXPECT_TRUE(open->partial);
  EXPECT_EQ(open->text, "x");
  EXPECT_EQ(read(R"({"log":"\n","stream":"stdout","time":"2026-01-01T00:00:00.5Z"})")->text, "");
  for (const char* bad :
       {"{", R"({"log":"x)", R"({"log":"x\)", R"({"log":"\q","stream":"stdout","time":"2026-01-01T00:00:00Z"})",
        R"({"log":"x","stream":"no","time":"2026-01-01T00:00:00Z"})",
        R"({"log":"x","stream":"stdout","time":"now"})"}) {
    EXPECT_FALSE(read(bad)) << bad;
  }
}

TEST_F(LogTest, ReadsCompressedPartsAndTheirTails) {
  append(path() + ".2", line("1") + line("2a", 'P') + line("2b"));
  compress(path() + ".2", path() + ".2.gz");
  append(path() + ".1", line("3"));
  append(path(), line("4"));
  EXPECT_EQ(read(), (Texts{"1", "2a", "2b", "3", "4"}));
  EXPECT_EQ(read({3, {}, {}}), (Texts{"2a", "2b", "3", "4"}));
  EXPECT_EQ(read({9, {}, {}}), (Texts{"1", "2a", "2b", "3", "4"}));
}

TEST_F(LogTest, ADamagedPartIsAnError) {
  append(path() + ".1.gz", "no gzip");
  append(path(), line("4"));
  EXPECT_FALSE(read_log(path(), {}, [](const LogLine&) { return true; }));
}

TEST_F(LogTest, FindsATimeInALongFile) {
  std::string text;
  const Time begin = *parse_time("2026-01-01T00:00:00Z");
  for (int i = 0; i < 50'000; ++i) {
    text += line(std::to_string(i), 'F', format_time(begin + std::chrono::milliseconds{i}).c_str());
  }
  append(path(), text);
  for (const int first : {1, 17, 25'000, 49'999}) {
    const auto lines = read({{}, begin + std::chrono::milliseconds{first}, {}});
    ASSERT_FALSE(lines.empty());
    EXPECT_EQ(lines.front(), std::to_string(first));
    EXPECT_EQ(lines.size(), static_cast<std::size_t>(50'000 - first));
  }
}

TEST_F(LogTest, FollowsAFileThatIsCompressedMeanwhile) {
  make_container("a", "web");
  const std::string log = paths_.log("p", "a");
  append(log, line("1"));
  auto follower = LogFollower::open(paths_, "p", {}, {});
  ASSERT_TRUE(follower);
  EXPECT_EQ(drain(*follower), (Texts{"a:1"}));
  append(log, line("2"));
  ASSERT_EQ(std::rename(log.c_str(), (log + ".2").c_str()), 0);
  compress(log + ".2", log + ".2.gz");
  append(log + ".1", line("3"));
  append(log, line("4"));
  EXPECT_EQ(drain(*follower), (Texts{"a:2", "a:3", "a:4"}));
}

TEST_F(LogTest, ReadsRotatedFilesOldestFirst) {
  append(path() + ".2", line("1"));
  append(path() + ".1", line("2") + line("3"));
  append(path(), line("4") + "2026-01-01T00:00:00Z stdout F half");
  EXPECT_EQ(read(), (Texts{"1", "2", "3", "4"}));
}

TEST_F(LogTest, ALogThatIsNotThereHasNoLines) { EXPECT_EQ(read(), Texts{}); }

TEST_F(LogTest, TailCountsOverRotatedFiles) {
  append(path() + ".1", line("1") + line("2") + line("3"));
  append(path(), line("4") + line("5"));
  EXPECT_EQ(read({0, {}, {}}), Texts{});
  EXPECT_EQ(read({1, {}, {}}), (Texts{"5"}));
  EXPECT_EQ(read({2, {}, {}}), (Texts{"4", "5"}));
  EXPECT_EQ(read({3, {}, {}}), (Texts{"3", "4", "5"}));
  EXPECT_EQ(read({99, {}, {}}), (Texts{"1", "2", "3", "4", "5"}));
}

TEST_F(LogTest, TailTakesThePiecesOfALineAsOne) {
  append(path(), line("1") + line("2a", 'P') + line("2b", 'P') + line("2c") + line("3"));
  EXPECT_EQ(read({2, {}, {}}), (Texts{"2a", "2b", "2c", "3"}));
}

TEST_F(LogTest, TailReadsLinesLongerThanABlock) {
  const std::string text(700'000, 'x');
  append(path(), line("1") + line(text) + line("3"));
  EXPECT_EQ(read({2, {}, {}}), (Texts{text, "3"}));
  EXPECT_EQ(read({3, {}, {}}), (Texts{"1", text, "3"}));
}

TEST_F(LogTest, SinceAndUntilBoundTheTime) {
  append(path(), line("1", 'F', "2026-01-01T00:00:01Z") + line("2", 'F', "2026-01-01T00:00:02Z") +
                     line("3", 'F', "2026-01-01T00:00:03Z"));
  const auto second = parse_time("2026-01-01T00:00:02Z");
  EXPECT_EQ(read({{}, *second, {}}), (Texts{"2", "3"}));
  EXPECT_EQ(read({{}, {}, *second}), (Texts{"1", "2"}));
}

TEST_F(LogTest, FollowsWhatIsWrittenLater) {
  make_container("a", "web");
  append(paths_.log("p", "a"), line("1") + line("2"));
  auto follower = LogFollower::open(paths_, "p", {}, {1, {}, {}});
  ASSERT_TRUE(follower);
  EXPECT_EQ(drain(*follower), (Texts{"a:2"}));
  EXPECT_FALSE(readable(*follower));
  append(paths_.log("p", "a"), line("3"));
  EXPECT_TRUE(readable(*follower));
  EXPECT_EQ(drain(*follower), (Texts{"a:3"}));
  EXPECT_TRUE(follower->anything_running());
}

TEST_F(LogTest, FollowsOverRotations) {
  make_container("a", "web");
  const std::string log = paths_.log("p", "a");
  append(log, line("1"));
  auto follower = LogFollower::open(paths_, "p", {}, {});
  ASSERT_TRUE(follower);
  EXPECT_EQ(drain(*follower), (Texts{"a:1"}));
  append(log, line("2"));
  ASSERT_EQ(std::rename(log.c_str(), (log + ".2").c_str()), 0);
  append(log + ".1", line("3"));
  append(log, line("4"));
  EXPECT_EQ(drain(*follower), (Texts{"a:2", "a:3", "a:4"}));
}

TEST_F(LogTest, FollowsAServiceIntoItsNextContainer) {
  make_container("a", "web");
  append(paths_.log("p", "a"), line("1"));
  auto follower = LogFollower::open(paths_, "p", {{"web"}, {}, false}, {0, {}, {}});
  ASSERT_TRUE(follower);
  EXPECT_EQ(drain(*follower), Texts{});
  append(paths_.log("p", "a"), line("2"));
  EXPECT_EQ(drain(*follower), (Texts{"a:2"}));
  ASSERT_TRUE(sys::remove_tree(paths_.container("p", "a")));
  make_container("b", "web");
  make_container("c", "db");
  append(paths_.log("p", "c"), line("9"));
  append(paths_.log("p", "b"), line("3"));
  EXPECT_TRUE(readable(*follower));
  EXPECT_EQ(drain(*follower), (Texts{"b:3"}));
}

TEST_F(LogTest, KnowsWhenAllHaveEnded) {
  make_container("a", "web");
  auto follower = LogFollower::open(paths_, "p", {}, {});
  ASSERT_TRUE(follower);
  ASSERT_TRUE(follower->anything_running()) << "before the first drain";
  drain(*follower);
  ASSERT_TRUE(follower->anything_running());
  auto record = load_record(paths_, "p", "a");
  ASSERT_TRUE(record);
  record->phase = Phase::exited;
  ASSERT_TRUE(save_record(paths_, *record));
  EXPECT_TRUE(readable(*follower));
  drain(*follower);
  EXPECT_FALSE(follower->anything_running());
}

}  // namespace
}  // namespace compose::state

#include <gmock/gmock.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <zlib.h>

#include <cstdlib>

#include "base/strings.hpp"
#include "runtime/monitor/log_compressor.hpp"
#include "runtime/monitor/log_format.hpp"
#include "runtime/monitor/log_remote.hpp"
#include "runtime/monitor/log_writer.hpp"
#include "sys/file.hpp"

namespace compose::runtime::monitor {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr timespec kNow{1767225600, 5};  // 2026-01-01T00:00:00.000000005Z
const std::string kTime = "2026-01-01T00:00:00.000000005Z";

class LogFile : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "log.XXXXXX";
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    settings_.path = folder_ + "/log";
  }
  void TearDown() override { EXPECT_TRUE(sys::remove_tree(folder_)); }
  std::string text(const std::string& suffix = "") const {
    return sys::read_file(settings_.path + suffix).value_or("(none)");
  }
  bool there(const std::string& suffix) const { return sys::exists(settings_.path + suffix); }
  std::string unzip(const std::string& suffix) const {
    gzFile file = ::gzopen((settings_.path + suffix).c_str(), "rb");
    if (file == nullptr) return "(none)";
    std::string all(std::size_t{1} << 20, '\0');
    all.resize(static_cast<std::size_t>(std::max(0, ::gzread(file, all.data(), static_cast<unsigned>(all.size())))));
    ::gzclose(file);
    return all;
  }
  std::string json_of(std::string_view piece) {
    settings_.format = LogFormat::json;
    LogWriter writer{settings_};
    EXPECT_TRUE(writer.open());
    writer.write(false, piece, kNow);
    writer.finish(kNow);
    return text();
  }
  std::string folder_;
  LogFileSettings settings_;
};

TEST_F(LogFile, MarksLinesThatGoOn) {
  LogWriter writer{settings_};
  ASSERT_TRUE(writer.open());
  writer.write(false, "one\ntw", kNow);
  writer.write(true, "bad\n", kNow);
  writer.write(false, "o\n\n", kNow);
  EXPECT_EQ(text(), kTime + " stdout F one\n" + kTime + " stdout P tw\n" + kTime + " stderr F bad\n" + kTime +
                        " stdout F o\n" + kTime + " stdout F \n");
}

TEST_F(LogFile, KeepsALineLongerThanItsBuffer) {
  LogWriter writer{settings_};
  ASSERT_TRUE(writer.open());
  const std::string line(200000, 'x');
  writer.write(false, line + "\nend\n", kNow);
  std::string joined;
  int lines = 0;
  for (const auto& entry : split(text(), '\n')) {
    if (entry.empty()) continue;
    joined += entry.substr(kTime.size() + 10);
    if (entry.substr(kTime.size() + 8, 1) == "F") ++lines;
  }
  EXPECT_EQ(joined, line + "end");
  EXPECT_EQ(lines, 2);
}

TEST_F(LogFile, RotatesAtLines) {
  settings_.max_size = 100;  // two lines of 45 bytes
  settings_.max_files = 3;
  LogWriter writer{settings_};
  ASSERT_TRUE(writer.open());
  for (int i = 0; i < 7; ++i) writer.write(false, fmt::format("num{}\n", i), kNow);
  const std::string begin = kTime + " stdout F num";
  EXPECT_EQ(text(), begin + "6\n");
  EXPECT_EQ(text(".1"), begin + "4\n" + begin + "5\n");
  EXPECT_EQ(text(".2"), begin + "2\n" + begin + "3\n");
  EXPECT_FALSE(there(".3"));
}

TEST_F(LogFile, WithOneFileBeginsAnew) {
  settings_.max_size = 100;
  LogWriter writer{settings_};
  ASSERT_TRUE(writer.open());
  for (int i = 0; i < 3; ++i) writer.write(false, "text\n", kNow);
  EXPECT_EQ(text(), kTime + " stdout F text\n");
  EXPECT_FALSE(there(".1"));
}

TEST_F(LogFile, CompressesWhatIsOlder) {
  settings_.max_size = 100;
  settings_.max_files = 4;
  settings_.compress = true;
  LogWriter writer{settings_};
  ASSERT_TRUE(writer.open());
  const std::string begin = kTime + " stdout F num";
  for (int i = 0; i < 5; ++i) writer.write(false, fmt::format("num{}\n", i), kNow);  // 4 | 2 3 | 0 1
  for (int i = 0; i < 5000 && there(".2"); ++i) ::usleep(1000);
  EXPECT_FALSE(there(".2"));
  EXPECT_EQ(unzip(".2.gz"), begin + "0\n" + begin + "1\n");
  EXPECT_EQ(text(".1"), begin + "2\n" + begin + "3\n");
  for (int i = 5; i < 9; ++i) writer.write(false, fmt::format("num{}\n", i), kNow);  // 8 | 6 7 | 4 5 | 2 3
  for (int i = 0; i < 5000 && there(".2"); ++i) ::usleep(1000);
  EXPECT_FALSE(there(".4") || there(".4.gz"));
  const std::string third = there(".3") ? text(".3") : unzip(".3.gz");
  EXPECT_EQ(third, begin + "2\n" + begin + "3\n");
}

TEST_F(LogFile, CompressedFilesTellWhichFileTheyWere) {
  ASSERT_TRUE(sys::write_file_atomic(folder_ + "/old", "text\n"));
  struct stat before{};
  ASSERT_EQ(::stat((folder_ + "/old").c_str(), &before), 0);
  ASSERT_TRUE(compress_log(folder_ + "/old", folder_ + "/old.gz"));
  const std::string bytes = *sys::read_file(folder_ + "/old.gz");
  EXPECT_EQ(bytes.substr(10, bytes.find('\0', 10) - 10), fmt::format("inode {}", before.st_ino));
  EXPECT_FALSE(sys::exists(folder_ + "/old"));
}

TEST_F(LogFile, AFullDiskLosesOutputAndSaysSo) {
  settings_.path = "/dev/full";
  LogWriter writer{settings_};
  ASSERT_TRUE(writer.open());
  writer.write(false, "12345\n", kNow);
  EXPECT_EQ(writer.lost(), 6U);
}

TEST_F(LogFile, WritesTheJsonOfDocker) {
  settings_.attributes = R"("attrs":{"tag":"x"},)";
  const std::string end = R"(","stream":"stdout","attrs":{"tag":"x"},"time":")" + kTime + "\"}\n";
  EXPECT_EQ(json_of("a\tb \"c\" \\ \x01 \xC3\xA9 \xF0\x9F\x99\x82\n"), R"({"log":"a\tb \"c\" \\ \u0001 )"
                                                                       "\xC3\xA9 \xF0\x9F\x99\x82\\n" +
                                                                           end);
}

TEST_F(LogFile, JsonStaysUtf8) {
  const std::string end = R"(","stream":"stdout","time":")" + kTime + "\"}\n";
  EXPECT_EQ(json_of("\xFFx\xC3\n"), "{\"log\":\"\xEF\xBF\xBDx\xEF\xBF\xBD\\n" + end);
}

TEST_F(LogFile, JsonWaitsForTheRestOfACharacter) {
  settings_.format = LogFormat::json;
  LogWriter writer{settings_};
  ASSERT_TRUE(writer.open());
  writer.write(false, "a\xF0\x9F", kNow);
  writer.write(false,
               "\x99\x82"
               "b\n",
               kNow);
  writer.write(false, "c\xC3", kNow);
  writer.finish(kNow);
  const std::string end = R"(","stream":"stdout","time":")" + kTime + "\"}\n";
  EXPECT_EQ(text(), "{\"log\":\"a" + end +
                        "{\"log\":\"\xF0\x9F\x99\x82"
                        "b\\n" +
                        end + "{\"log\":\"c" + end + "{\"log\":\"\xEF\xBF\xBD" + end);
}

TEST(OpenCharacter, CountsWhatMayGoOn) {
  EXPECT_EQ(open_character("abc"), 0U);
  EXPECT_EQ(open_character("a\xC3"), 1U);
  EXPECT_EQ(open_character("a\xC3\xA9"), 0U);
  EXPECT_EQ(open_character("\xF0\x9F\x99"), 3U);
  EXPECT_EQ(open_character("\x99\x99\x99\x99"), 0U);
}

class RemoteTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "rem.XXXXXX";
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    settings_.address = "unixgram:" + folder_ + "/socket";
    settings_.tag = "web";
    settings_.hostname = "host";
    ::setenv("TZ", "UTC", 1);
    ::tzset();
  }
  void TearDown() override { EXPECT_TRUE(sys::remove_tree(folder_)); }
  void listen() {
    const std::string path = folder_ + "/socket";
    ::unlink(path.c_str());
    server_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(server_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  std::string receive() const {
    std::string data(100000, '\0');
    const ssize_t size = ::recv(server_.get(), data.data(), data.size(), 0);
    data.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    return data;
  }
  std::string folder_;
  UniqueFd server_;
  RemoteLogSettings settings_;
};

TEST_F(RemoteTest, SpeaksTheFormatsOfSyslog) {
  using Kind = RemoteLogSettings::Kind;
  const auto entry = [&](Kind kind, bool to_stderr) {
    settings_.kind = kind;
    return syslog_entry(settings_, to_stderr, "text", {kNow.tv_sec, 123456789}, 42);
  };
  EXPECT_EQ(entry(Kind::syslog_local, false), "<30>Jan  1 00:00:00 web[42]: text\n");
  EXPECT_EQ(entry(Kind::rfc3164, true), "<27>Jan  1 00:00:00 host web[42]: text\n");
  EXPECT_EQ(entry(Kind::rfc5424, false), "<30>1 2026-01-01T00:00:00Z host web 42 web - text\n");
  EXPECT_EQ(entry(Kind::rfc5424_micro, false), "<30>1 2026-01-01T00:00:00.123456Z host web 42 web - text\n");
  settings_.facility = 16;
  EXPECT_EQ(entry(Kind::syslog_local, false), "<134>Jan  1 00:00:00 web[42]: text\n");
}

TEST_F(RemoteTest, SpeaksJournaldsProtocol) {
  settings_.fields = "CONTAINER_NAME=web\n";
  EXPECT_EQ(journal_entry(settings_, false, "text", false), "CONTAINER_NAME=web\nPRIORITY=6\nMESSAGE=text\n");
  EXPECT_EQ(journal_entry(settings_, true, "x", true),
            "CONTAINER_NAME=web\nPRIORITY=3\nCONTAINER_PARTIAL_MESSAGE=true\nMESSAGE=x\n");
  EXPECT_EQ(journal_entry(settings_, false, "a\nb", false),
            std::string("CONTAINER_NAME=web\nPRIORITY=6\nMESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n", 50));
}

TEST_F(RemoteTest, SendsLineByLine) {
  listen();
  settings_.kind = RemoteLogSettings::Kind::journald;
  RemoteLog log{settings_};
  ASSERT_TRUE(log.open());
  log.write(false, "one\ntw", kNow);
  log.write(false, "o\nrest", kNow);
  log.finish(kNow, 100);
  EXPECT_THAT(receive(), HasSubstr("MESSAGE=one\n"));
  EXPECT_THAT(receive(), HasSubstr("MESSAGE=two\n"));
  EXPECT_THAT(receive(), HasSubstr("MESSAGE=rest\n"));
}

TEST_F(RemoteTest, CutsLongLines) {
  listen();
  settings_.kind = RemoteLogSettings::Kind::journald;
  RemoteLog log{settings_};
  ASSERT_TRUE(log.open());
  log.write(false, std::string(16384, 'x') + "y\n", kNow);
  const std::string first = receive();
  EXPECT_THAT(first, HasSubstr("CONTAINER_PARTIAL_MESSAGE=true"));
  EXPECT_THAT(first, HasSubstr("MESSAGE=" + std::string(16384, 'x') + "\n"));
  EXPECT_THAT(receive(), HasSubstr("MESSAGE=y\n"));
}

TEST_F(RemoteTest, ASlowServiceMakesTheContainerWaitOrCostsOutput) {
  listen();
  settings_.kind = RemoteLogSettings::Kind::syslog_local;
  const std::string many(100, 'x');
  for (const std::uint64_t buffer : {std::uint64_t{0}, std::uint64_t{2000}}) {
    settings_.buffer = buffer;
    RemoteLog log{settings_};
    ASSERT_TRUE(log.open());
    for (int i = 0; i < 2000; ++i) log.write(false, many + "\n", kNow);
    EXPECT_TRUE(log.waits());
    EXPECT_EQ(log.blocks(), buffer == 0);
    int got = 0;
    do {
      while (!receive().empty()) ++got;
      log.flush();
    } while (log.waits());
    while (!receive().empty()) ++got;
    EXPECT_EQ(got == 2000, buffer == 0) << got;
  }
}

TEST_F(RemoteTest, SurvivesARestartOfTheService) {
  listen();
  settings_.kind = RemoteLogSettings::Kind::syslog_local;
  RemoteLog log{settings_};
  ASSERT_TRUE(log.open());
  server_.reset();
  listen();
  log.write(false, "after\n", kNow);
  EXPECT_THAT(receive(), HasSubstr("after"));
}

TEST_F(RemoteTest, AnAddressThatDoesNotAnswerIsAnError) {
  settings_.kind = RemoteLogSettings::Kind::syslog_local;
  for (const char* address : {"unixgram:/nowhere/socket", "tcp:127.0.0.1:1", "tcp:x:514", "udp:127.0.0.1", "smoke:1"}) {
    settings_.address = address;
    RemoteLog log{settings_};
    const auto opened = log.open();
    ASSERT_FALSE(opened) << address;
    EXPECT_THAT(opened.error().message(), StartsWith(std::string{"log service "} + address));
  }
}

}  // namespace
}  // namespace compose::runtime::monitor

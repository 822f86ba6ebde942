#include "container/log_options.hpp"

#include <gmock/gmock.h>

namespace compose::container {
namespace {

using ::testing::HasSubstr;

class LogOptionsTest : public ::testing::Test {
 protected:
  Result<state::LogRecord> read(const std::string& driver, const model::StringMap& options) {
    service_.name = "web";
    service_.logging = model::Logging{driver, options};
    path_.clear();
    return log_record({service_,
                       "shop",
                       "0123456789abcdef",
                       "shop-web-1",
                       "nginx:1",
                       "sha256:fedcba9876543210",
                       {{"tier", "front"}, {"other", "x"}},
                       {"STAGE=prod", "SECRET=x"}},
                      path_);
  }
  std::string error(const std::string& driver, const model::StringMap& options) {
    const auto result = read(driver, options);
    return result ? "" : path_ + ": " + result.error().message();
  }
  model::Service service_;
  std::string path_;
};

TEST_F(LogOptionsTest, IsBoundedUnlessTold) {
  std::string path;
  const auto record = log_record({service_, "p", "i", "n", "r", "d", {}, {}}, path);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->driver, "local");
  EXPECT_EQ(record->max_size, 50U << 20);
  EXPECT_EQ(record->max_files, 5);
  EXPECT_TRUE(record->compress);
  EXPECT_EQ(read("json-file", {})->max_size, 50U << 20);
  EXPECT_FALSE(read("json-file", {})->compress);
}

TEST_F(LogOptionsTest, ReadsSizesAndNumbers) {
  const auto record = read("json-file", {{"max-size", "10m"}, {"max-file", "3"}, {"compress", "true"}});
  ASSERT_TRUE(record) << record.error().message();
  EXPECT_EQ(record->max_size, 10U << 20);
  EXPECT_EQ(record->max_files, 3);
  EXPECT_TRUE(record->compress);
  EXPECT_EQ(record->format, "json");
  EXPECT_EQ(read("json-file", {{"max-size", "1k"}})->max_files, 1) << "as Docker has it";
  EXPECT_EQ(read("local", {{"max-size", "-1"}})->max_size, 0U);
}

TEST_F(LogOptionsTest, PutsLabelsVariablesAndTagIntoTheAttributes) {
  const auto record = read("json-file", {{"labels", "tier,none"}, {"env", "STAGE"}, {"tag", "{{.Name}}/{{ .ID }}"}});
  ASSERT_TRUE(record) << record.error().message();
  EXPECT_EQ(record->attributes, R"("attrs":{"STAGE":"prod","tag":"shop-web-1/0123456789ab","tier":"front"},)");
}

TEST_F(LogOptionsTest, JournaldGetsItsFields) {
  const auto record = read("journald", {{"labels", "tier"}, {"tag", "x"}});
  ASSERT_TRUE(record) << record.error().message();
  EXPECT_EQ(record->remote, "journald");
  EXPECT_EQ(record->address, "unixgram:/run/systemd/journal/socket");
  for (const char* field : {"CONTAINER_ID=0123456789ab\n", "CONTAINER_NAME=shop-web-1\n", "CONTAINER_TAG=x\n",
                            "COMPOSE_PROJECT=shop\n", "COMPOSE_SERVICE=web\n", "TIER=front\n"}) {
    EXPECT_THAT(record->fields, HasSubstr(field));
  }
  EXPECT_EQ(record->max_files, 5) << "a copy stays here for `logs`";
  EXPECT_EQ(read("journald", {{"cache-disabled", "true"}})->max_files, 0);
}

TEST_F(LogOptionsTest, SyslogHasAddressFacilityAndFormat) {
  const auto record = read(
      "syslog",
      {{"syslog-address", "udp://log.host:1514"}, {"syslog-facility", "local3"}, {"syslog-format", "rfc5424micro"}});
  ASSERT_TRUE(record) << record.error().message();
  EXPECT_EQ(record->address, "udp:log.host:1514");
  EXPECT_EQ(record->facility, 19);
  EXPECT_EQ(record->remote, "rfc5424micro");
  EXPECT_EQ(record->tag, "0123456789ab");
  EXPECT_EQ(read("syslog", {{"syslog-address", "tcp://[::1]"}})->address, "tcp:[::1]:514");
  EXPECT_EQ(read("syslog", {})->address, "unix:/dev/log");
  EXPECT_EQ(read("syslog", {{"mode", "non-blocking"}})->buffer, 1U << 20);
  EXPECT_EQ(read("syslog", {{"mode", "non-blocking"}, {"max-buffer-size", "4m"}})->buffer, 4U << 20);
}

TEST_F(LogOptionsTest, NoneKeepsNothing) { EXPECT_EQ(read("none", {{"max-size", "1m"}})->max_files, 0); }

TEST_F(LogOptionsTest, NamesWhatIsWrong) {
  const auto expect = [&](const std::string& driver, const model::StringMap& options, const char* path,
                          const char* text) {
    const std::string message = error(driver, options);
    EXPECT_THAT(message, HasSubstr(std::string{path} + ": "));
    EXPECT_THAT(message, HasSubstr(text));
  };
  expect("fluentd", {}, "logging.driver", "unknown logging driver \"fluentd\" (there are journald,");
  expect("local", {{"max-sise", "1m"}}, "logging.options.max-sise", "did you mean \"max-size\"?");
  expect("local", {{"labels", "a"}}, "logging.options.labels", "unknown log option \"labels\" for logging driver");
  expect("local", {{"max-size", "much"}}, "logging.options.max-size", "no size");
  expect("local", {{"max-file", "0"}}, "logging.options.max-file", "no number");
  expect("json-file", {{"compress", "true"}}, "logging.options.compress", "max-file of 2");
  expect("json-file", {{"mode", "fast"}}, "logging.options.mode", "neither");
  expect("json-file", {{"max-buffer-size", "1m"}}, "logging.options.max-buffer-size", "non-blocking");
  expect("json-file", {{"tag", "{{.Node}}"}}, "logging.options.tag", "{{.Name}}");
  expect("json-file", {{"tag", "{{"}}, "logging.options.tag", "{{.Name}}");
  expect("json-file", {{"labels-regex", "a.*"}}, "logging.options.labels-regex", "list the names in \"labels\"");
  expect("syslog", {{"syslog-address", "log.host"}}, "logging.options.syslog-address", "udp://");
  expect("syslog", {{"syslog-facility", "local9"}}, "logging.options.syslog-facility", "local9");
  expect("syslog", {{"syslog-format", "x"}}, "logging.options.syslog-format", "rfc3164");
  expect("syslog", {{"syslog-tls-cert", "x"}}, "logging.options.syslog-tls-cert", "unix, udp or tcp");
}

}  // namespace
}  // namespace compose::container

#include "cli/progress.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/strings.hpp"
#include "sys/file.hpp"

namespace compose::cli {
namespace {

using Status = ProgressEvent::Status;

const std::vector<ProgressLine> kLines = {
    {{.kind = "Network", .name = "wp_default", .text = "Created", .status = Status::done}, 0.1},
    {{.kind = "Container", .name = "wp-db-1", .text = "Healthy", .status = Status::done}, 6.3},
    {{.kind = "Container", .name = "wp-web-1", .text = "Starting", .status = Status::working}, 0.4},
};

TEST(ProgressFrame, ShowsOneLinePerThing) {
  const FrameStyle style{.columns = 60, .rows = 24, .colour = false};
  EXPECT_EQ(render_frame("up", kLines, style),
            "[+] up 2/3\n"
            " ✔ Network wp_default Created                          0.1s\n"
            " ✔ Container wp-db-1  Healthy                          6.3s\n"
            " ⠋ Container wp-web-1 Starting                         0.4s\n");
}

TEST(ProgressFrame, FitsNarrowTerminals) {
  for (const int columns : {30, 20, 12}) {
    const std::string frame = render_frame("up", kLines, {.columns = columns, .rows = 24, .colour = false});
    for (const std::string& line : split(frame, '\n'))
      EXPECT_LE(display_width(line), static_cast<std::size_t>(columns < 13 ? 13 : columns)) << line;
  }
}

TEST(ProgressFrame, FitsLowTerminalsAndKeepsWhatIsUnfinished) {
  std::vector<ProgressLine> lines;
  for (int i = 0; i < 20; ++i)
    lines.push_back(
        {{.kind = "Container", .name = fmt::format("c-{}", i), .text = "Started", .status = Status::done}, 1});
  lines.front().event.status = Status::working;
  const std::string frame = render_frame("up", lines, {.columns = 40, .rows = 8, .colour = false});
  EXPECT_EQ(std::count(frame.begin(), frame.end(), '\n'), 7);
  EXPECT_NE(frame.find("Container c-0 "), std::string::npos);
  EXPECT_NE(frame.find(" ... 15 more\n"), std::string::npos);
}

TEST(ProgressFrame, PaintsByState) {
  const std::string frame = render_frame("up", kLines, {.columns = 60, .rows = 24, .colour = true});
  EXPECT_NE(frame.find("\x1b[32m✔\x1b[0m Container wp-db-1  \x1b[32mHealthy "), std::string::npos);
  EXPECT_NE(frame.find("\x1b[34m   6.3s\x1b[0m"), std::string::npos);
}

TEST(ProgressFrame, DrawsABarOfTheLayers) {
  const std::vector<ProgressLine> lines = {
      {{.kind = "Image", .name = "nginx", .text = "Pulling"}, 1},
      {{.kind = "", .name = "a1", .text = "Downloading", .parent = "Image nginx", .current = 50, .total = 50}, 1},
      {{.kind = "", .name = "b2", .text = "Downloading", .parent = "Image nginx", .current = 0, .total = 50}, 1}};
  EXPECT_NE(render_frame("pull", lines, {.columns = 80, .rows = 24, .colour = false}).find("Pulling [⣿ ] 50B / 100B"),
            std::string::npos);
}

/// What a mode writes for two events and an error.
std::string written(ProgressSettings settings) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  settings.fd = ends[1];
  {
    auto progress = make_progress(settings).value();
    progress->begin("up");
    progress->event({.kind = "Container", .name = "p-web-1", .text = "Creating"});
    progress->event({.kind = "Container", .name = "p-web-1", .text = "Created", .status = Status::done});
    progress->end();
    progress->failure("boom");
  }
  ::close(ends[1]);
  std::string text = sys::read_all(ends[0]).value();
  ::close(ends[0]);
  return text;
}

TEST(Progress, PlainIsALinePerEvent) {
  EXPECT_EQ(written({.mode = ProgressMode::plain}),
            " Container p-web-1 Creating \n Container p-web-1 Created \nboom\n");
  EXPECT_EQ(written({.mode = ProgressMode::automatic, .dry_run = true}),
            " DRY-RUN MODE -  Container p-web-1 Creating \n DRY-RUN MODE -  Container p-web-1 Created \nboom\n");
}

TEST(Progress, JsonIsAnObjectPerEvent) {
  EXPECT_EQ(written({.mode = ProgressMode::json}),
            "{\"id\":\"Container p-web-1\",\"status\":\"Working\",\"text\":\"Creating\"}\n"
            "{\"id\":\"Container p-web-1\",\"status\":\"Done\",\"text\":\"Created\"}\n"
            "{\"error\":true,\"message\":\"boom\"}\n");
}

TEST(Progress, QuietOnlyTellsErrors) { EXPECT_EQ(written({.mode = ProgressMode::quiet}), "boom\n"); }

TEST(Progress, TerminalLeavesItsLastFrame) {
  const std::string text = written({.mode = ProgressMode::tty});
  EXPECT_NE(text.find("[+] up 1/1\n"), std::string::npos);
  EXPECT_TRUE(text.ends_with("boom\n"));
}

TEST(Progress, RefusesContradictions) {
  EXPECT_FALSE(make_progress({.mode = ProgressMode::tty, .ansi = Ansi::never}));
  EXPECT_FALSE(make_progress({.mode = ProgressMode::plain, .ansi = Ansi::always}));
  EXPECT_FALSE(parse_progress_mode("fancy"));
  EXPECT_EQ(parse_progress_mode("none").value(), ProgressMode::quiet);
}

}  // namespace
}  // namespace compose::cli

#include "state/events.hpp"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <nlohmann/json.hpp>

#include "base/strings.hpp"
#include "sys/file.hpp"

namespace compose::state {

using nlohmann::json;

namespace {

constexpr off_t kMaxSize = off_t{1} << 20;

std::vector<ContainerEvent> parse(const std::string& text) {
  std::vector<ContainerEvent> events;
  for (const std::string& line : split(text, '\n')) {
    if (auto event = event_from_json(line)) events.push_back(*std::move(event));
  }
  return events;
}

}  // namespace

std::string event_to_json(const ContainerEvent& event) {
  const json object = {
      {"time", format_time(event.at)}, {"action", event.action},        {"id", event.id}, {"name", event.name},
      {"service", event.service},      {"attributes", event.attributes}};
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::optional<ContainerEvent> event_from_json(const std::string& line) {
  const json object = json::parse(line, nullptr, false);
  if (!object.is_object()) return std::nullopt;
  try {
    ContainerEvent event;
    const auto at = parse_time(object.value("time", ""));
    event.action = object.value("action", "");
    if (!at || event.action.empty()) return std::nullopt;
    event.at = *at;
    event.id = object.value("id", "");
    event.name = object.value("name", "");
    event.service = object.value("service", "");
    event.attributes = object.value("attributes", std::map<std::string, std::string>{});
    return event;
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

Result<void> append_event(const Paths& paths, const std::string& project, const ContainerEvent& event) {
  const std::string path = paths.events(project);
  UniqueFd file{::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600)};
  if (!file.valid() && errno == ENOENT) return {};
  if (!file.valid()) return os_error("open {}", path);
  struct stat status{};
  if (::fstat(file.get(), &status) == 0 && status.st_size > kMaxSize) {
    if (::rename(path.c_str(), (path + ".1").c_str()) != 0) return os_error("rename {}", path);
    file.reset(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file.valid()) return os_error("open {}", path);
  }
  return sys::write_all(file.get(), event_to_json(event) + "\n").with("{}", path);
}

void remove_events(const Paths& paths, const std::string& project) {
  ::unlink(paths.events(project).c_str());
  ::unlink((paths.events(project) + ".1").c_str());
}

Result<std::vector<ContainerEvent>> load_events(const Paths& paths, const std::string& project) {
  std::string text;
  for (const char* ending : {".1", ""}) {
    auto part = sys::read_file(paths.events(project) + ending);
    if (part) text += *part;
    if (!part && part.error().code() != Errc::not_found) return std::move(part).error();
  }
  return parse(text);
}

Result<EventFollower> EventFollower::open(const Paths& paths, const std::string& project) {
  UniqueFd inotify{::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
  if (!inotify.valid()) return os_error("inotify");
  // The project may come and go while it is followed: its folder's folder stays.
  TRY(sys::make_directories(paths.projects(), 0700));
  if (::inotify_add_watch(inotify.get(), paths.projects().c_str(), IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) < 0) {
    return os_error("watching {}", paths.projects());
  }
  EventFollower follower{paths.project(project), paths.events(project), std::move(inotify)};
  follower.watch_project();
  follower.file_.reset(::open(follower.path_.c_str(), O_RDONLY | O_CLOEXEC));
  if (follower.file_.valid()) follower.offset_ = ::lseek(follower.file_.get(), 0, SEEK_END);
  return follower;
}

/// Repeating it costs nothing, and finds a folder that was made anew.
void EventFollower::watch_project() {
  const std::uint32_t mask = IN_MODIFY | IN_CREATE | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR;
  ::inotify_add_watch(inotify_.get(), folder_.c_str(), mask);
}

Result<void> EventFollower::read_on(const std::function<void(const ContainerEvent&)>& sink) {
  std::array<char, 65536> buffer{};
  for (;;) {
    const ssize_t size = retry_eintr([&] { return ::pread(file_.get(), buffer.data(), buffer.size(), offset_); });
    if (size < 0) return os_error("reading {}", path_);
    if (size == 0) return {};
    offset_ += size;
    open_.append(buffer.data(), static_cast<std::size_t>(size));
    for (std::size_t end = 0; (end = open_.find('\n')) != std::string::npos; open_.erase(0, end + 1)) {
      if (const auto event = event_from_json(open_.substr(0, end))) sink(*event);
    }
  }
}

Result<void> EventFollower::drain(const std::function<void(const ContainerEvent&)>& sink) {
  std::array<char, 16384> notes{};
  while (::read(inotify_.get(), notes.data(), notes.size()) > 0) {
  }
  watch_project();
  if (file_.valid()) TRY(read_on(sink));
  // Moved away or removed: go on with the one that took its place.
  UniqueFd now{::open(path_.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!now.valid()) return {};
  struct stat mine{}, theirs{};
  const bool same = file_.valid() && ::fstat(file_.get(), &mine) == 0 && ::fstat(now.get(), &theirs) == 0 &&
                    mine.st_ino == theirs.st_ino;
  if (same) return {};
  file_ = std::move(now);
  offset_ = 0;
  open_.clear();
  return read_on(sink);
}

}  // namespace compose::state

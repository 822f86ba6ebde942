#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>

#include "state/log_file.hpp"
#include "state/log_reader.hpp"
#include "sys/file.hpp"

namespace compose::state {

namespace {

constexpr std::uint32_t kDirectoryEvents = IN_CREATE | IN_MOVED_TO | IN_ONLYDIR;
constexpr std::uint32_t kContainerEvents = IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR;

bool wanted(const std::vector<std::string>& names, const std::string& name) {
  return names.empty() || std::ranges::find(names, name) != names.end();
}

struct Followed {
  ContainerRecord record;
  LineReader reader;
  int watch = -1;
  bool dirty = true;  // the log may have grown
  bool stale = true;  // the record may have changed
};

}  // namespace

struct LogFollower::Impl {
  Paths paths;
  std::string project;
  Filter filter;
  LogQuery query;
  TimeFilter time;
  std::string scratch;
  UniqueFd inotify;
  std::map<std::string, Followed> containers;  // by id
  std::map<int, std::string> by_watch;
  bool first = true;
  bool rescan = true;

  Result<void> watch_project() {
    // The directory may not be there yet: following then begins with the project's first container.
    // A supervisor that ends after `down` may remove it just now: then it is made again.
    constexpr int kAttempts = 5;
    for (int attempt = 1;; ++attempt) {
      auto made = sys::make_directories(paths.containers(project), 0700);
      if (!made && (made.error().sys_errno() != ENOENT || attempt == kAttempts)) return made;
      if (!made) continue;
      if (::inotify_add_watch(inotify.get(), paths.containers(project).c_str(), kDirectoryEvents) >= 0) return {};
      if (errno != ENOENT || attempt == kAttempts) return os_error("watching {}", paths.containers(project));
    }
  }

  bool follows(const ContainerRecord& record) const {
    return wanted(filter.services, record.service) && wanted(filter.containers, record.name) &&
           (filter.one_off || !record.one_off);
  }

  void read_events() {
    alignas(inotify_event) std::array<char, 65536> buffer{};
    for (;;) {
      const ssize_t size = retry_eintr([&] { return ::read(inotify.get(), buffer.data(), buffer.size()); });
      if (size <= 0) return;
      for (ssize_t at = 0; at < size;) {
        inotify_event event{};
        std::copy_n(buffer.data() + at, sizeof event, reinterpret_cast<char*>(&event));
        const std::string name = event.len > 0 ? buffer.data() + at + sizeof event : "";
        at += static_cast<ssize_t>(sizeof event + event.len);
        note(event, name);
      }
    }
  }

  void note(const inotify_event& event, const std::string& name) {
    if ((event.mask & IN_Q_OVERFLOW) != 0) {
      rescan = true;
      for (auto& [id, container] : containers) container.dirty = container.stale = true;
      return;
    }
    const auto it = by_watch.find(event.wd);
    if (it == by_watch.end()) {
      rescan = true;
      return;
    }
    if ((event.mask & IN_IGNORED) != 0) {
      containers[it->second].stale = true;
      by_watch.erase(it);
      rescan = true;
      return;
    }
    Followed& container = containers[it->second];
    container.dirty = true;
    if (name == "record.json" || name == "exit.json") {
      container.stale = true;
      rescan = rescan || container.record.id.empty();
    }
  }

  /// Takes up containers that are new. A container's directory is watched before its record is read, so a record
  /// that appears in between is not missed.
  Result<void> scan() {
    rescan = false;
    TRY_ASSIGN(const auto ids, sys::list_directory(paths.containers(project)));
    for (const std::string& id : ids) {
      auto [it, added] = containers.try_emplace(id);
      Followed& container = it->second;
      if (added) {
        container.watch = ::inotify_add_watch(inotify.get(), paths.container(project, id).c_str(), kContainerEvents);
        if (container.watch < 0) {
          containers.erase(it);
          continue;
        }
        by_watch[container.watch] = id;
      }
    }
    // A container that is gone was read to its end by the drain that follows its last event.
    std::erase_if(containers,
                  [&](const auto& item) { return !std::ranges::binary_search(ids, item.first) && !item.second.dirty; });
    return {};
  }

  /// Reads the record again; false while there is none that we follow.
  bool refresh(const std::string& id, Followed& container) {
    if (!container.stale) return follows(container.record) && !container.record.id.empty();
    auto record = load_record(paths, project, id);
    if (record) {
      container.record = observe(paths, *std::move(record));
      container.stale = false;
    } else if (!container.record.id.empty()) {
      container.record.phase = Phase::removing;
      container.stale = false;
    }
    return !container.record.id.empty() && follows(container.record);
  }

  using Sink = std::function<void(const FollowedLine&)>;

  Result<void> give(Followed& container, LineReader& reader, const Sink& sink) {
    std::string_view text;
    for (;;) {
      TRY_ASSIGN(const bool more, reader.next(text));
      if (!more) return {};
      const auto line = parse_log_line(text, scratch);
      if (!line || time.too_early(line->timestamp) || time.too_late(line->timestamp)) continue;
      sink(FollowedLine{&container.record, *line});
    }
  }

  /// What the query asks of the log as it is when it is first seen.
  Result<void> begin(Followed& container, const Sink& sink) {
    const LogQuery all{{}, query.since, query.until};
    TRY_ASSIGN(LogView view, select_parts(paths.log(project, container.record.id), first ? query : all));
    while (!view.parts.empty()) {
      container.reader = LineReader{std::move(view.parts.back()), view.starts.back()};
      view.parts.pop_back();
      view.starts.pop_back();
      TRY(give(container, container.reader, sink));
    }
    return {};
  }

  /// The rest of the file we read, then, if it was rotated away meanwhile, the files after it.
  Result<void> go_on(Followed& container, const Sink& sink) {
    TRY_ASSIGN(auto parts, open_log_parts(paths.log(project, container.record.id)));
    const auto mine = std::ranges::find(parts, container.reader.inode(), &LogPart::inode);
    // Read ours to its end only now: what was written before the rotation is complete.
    TRY(give(container, container.reader, sink));
    parts.erase(mine, parts.end());
    while (!parts.empty()) {
      container.reader = LineReader{std::move(parts.back()), {}};
      parts.pop_back();
      TRY(give(container, container.reader, sink));
    }
    return {};
  }

  Result<void> drain(const Sink& sink) {
    read_events();
    if (rescan) TRY(scan());
    for (auto& [id, container] : containers) {
      if (!refresh(id, container) || !container.dirty) continue;
      container.dirty = false;
      const bool has_log = sys::exists(paths.log(project, id));
      if (container.reader.open()) {
        if (has_log) {
          TRY(go_on(container, sink));
        } else {
          TRY(give(container, container.reader, sink));
        }
      } else if (has_log) {
        TRY(begin(container, sink));
      }
    }
    first = false;
    return {};
  }
};

LogFollower::LogFollower(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
LogFollower::LogFollower(LogFollower&&) noexcept = default;
LogFollower& LogFollower::operator=(LogFollower&&) noexcept = default;
LogFollower::~LogFollower() = default;

Result<LogFollower> LogFollower::open(const Paths& paths, const std::string& project, Filter filter, LogQuery query) {
  UniqueFd inotify{::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
  if (!inotify.valid()) return os_error("inotify");
  auto impl = std::make_unique<Impl>(
      Impl{paths, project, std::move(filter), query, TimeFilter{query}, {}, std::move(inotify), {}, {}, true, true});
  TRY(impl->watch_project());
  // What there is is known from the beginning, so that anything_running() can be asked before the first drain().
  TRY(impl->scan());
  for (auto& [id, container] : impl->containers) impl->refresh(id, container);
  return LogFollower{std::move(impl)};
}

int LogFollower::fd() const { return impl_->inotify.get(); }

Result<void> LogFollower::drain(const std::function<void(const FollowedLine&)>& sink) { return impl_->drain(sink); }

bool LogFollower::anything_running() const {
  return std::ranges::any_of(impl_->containers, [&](auto& item) {
    const ContainerRecord& record = item.second.record;
    if (record.id.empty() || !impl_->follows(record)) return false;
    return record.phase == Phase::running || record.restarting;
  });
}

}  // namespace compose::state

#include "runtime/container/container.hpp"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

namespace compose::runtime::container {
namespace {

/// The letter of /proc/PID/stat's third field; 0 without such a process.
char process_state(pid_t pid) {
  const auto stat = sys::read_file(fmt::format("/proc/{}/stat", pid), 4096);
  if (!stat) return 0;
  const auto close = stat->rfind(')');
  return close != std::string::npos && close + 2 < stat->size() ? (*stat)[close + 2] : '\0';
}

std::string text(const nlohmann::json& json, const char* name) {
  const auto member = json.find(name);
  return member != json.end() && member->is_string() ? member->get<std::string>() : std::string{};
}

}  // namespace

Result<void> check_id(const std::string& id) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '+' ||
           c == '-' || c == '.';
  };
  if (id.empty() || id.size() > 1024 || id == "." || id == ".." || !std::ranges::all_of(id, allowed)) {
    return make_error(Errc::invalid, "invalid container id \"{}\": letters, digits and _ + - . are allowed", id);
  }
  return {};
}

Result<Container> Container::load(const std::string& root, const std::string& id) {
  TRY(check_id(id));
  Container container;
  container.id_ = id;
  container.directory_ = root + "/" + id;
  auto bytes = sys::read_file(container.directory_ + "/state.json");
  if (!bytes) {
    if (bytes.error().sys_errno() != ENOENT) return std::move(bytes).error();
    return make_error(Errc::not_found, "container \"{}\" does not exist", id);
  }
  const auto json = nlohmann::json::parse(*bytes, nullptr, false);
  if (!json.is_object()) return make_error(Errc::corrupt, "container \"{}\": its state.json is broken", id);
  container.bundle_ = text(json, "bundle");
  container.rootfs_ = text(json, "rootfs");
  container.created_ = text(json, "created");
  container.owner_ = text(json, "owner");
  container.cgroup_path_ = text(json, "cgroup_path");
  if (json.contains("pid") && json["pid"].is_number_integer()) container.pid_ = json["pid"].get<pid_t>();
  if (json.contains("start_time") && json["start_time"].is_number_unsigned()) {
    container.start_time_ = json["start_time"].get<std::uint64_t>();
  }
  if (const auto notes = json.find("annotations"); notes != json.end() && notes->is_object()) {
    for (const auto& [name, value] : notes->items()) {
      if (value.is_string()) container.annotations_[name] = value.get<std::string>();
    }
  }
  return container;
}

Result<std::vector<std::string>> Container::list(const std::string& root) {
  TRY_ASSIGN(auto names, sys::list_directory(root));
  std::erase_if(names,
                [&](const auto& name) { return !check_id(name) || !sys::exists(root + "/" + name + "/state.json"); });
  return names;
}

bool Container::alive() const {
  if (pid_ <= 0 || sys::process_start_time(pid_) != start_time_) return false;
  const char state = process_state(pid_);
  return state != 0 && state != 'Z' && state != 'X';
}

Container::Status Container::status() const {
  if (!alive()) return Status::stopped;
  if (sys::exists(start_socket())) return Status::created;
  if (const auto own = group()) {
    if (own->frozen().value_or(false)) return Status::paused;
  }
  return Status::running;
}

const char* Container::name(Status status) {
  switch (status) {
    case Status::created:
      return "created";
    case Status::running:
      return "running";
    case Status::paused:
      return "paused";
    case Status::stopped:
      break;
  }
  return "stopped";
}

Result<UniqueFd> Container::open_process() const {
  auto fd = sys::open_pidfd(pid_);
  if (!fd || !alive()) return make_error(Errc::not_found, "container \"{}\" is not running", id_);
  return fd;
}

std::optional<cgroup::Group> Container::group() const {
  if (cgroup_path_.empty()) return std::nullopt;
  auto layout = cgroup::detect_layout();
  if (!layout) return std::nullopt;
  return cgroup::Group::open(*layout, cgroup_path_);
}

Result<launch::LaunchPlan> Container::plan() const {
  TRY_ASSIGN(const std::string bytes, sys::read_file(directory_ + "/plan.bin"));
  return launch::deserialize(bytes);
}

std::string Container::state_json() const {
  const Status now = status();
  nlohmann::ordered_json json{{"ociVersion", spec::kOciVersion},
                              {"id", id_},
                              {"pid", now == Status::stopped ? 0 : pid_},
                              {"status", name(now)},
                              {"bundle", bundle_},
                              {"rootfs", rootfs_},
                              {"created", created_},
                              {"owner", owner_}};
  if (!annotations_.empty()) json["annotations"] = annotations_;
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<void> Container::remove() const {
  if (const auto own = group()) {
    if (own->exists()) {
      TRY(own->kill_all());
      (void)own->wait_empty(5000);
      TRY(own->remove());
    }
  }
  return sys::remove_tree(directory_);
}

}  // namespace compose::runtime::container

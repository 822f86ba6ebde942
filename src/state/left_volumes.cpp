#include "state/left_volumes.hpp"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/schema.hpp"
#include "sys/file.hpp"

namespace compose::state {

using nlohmann::json;

namespace {

constexpr int kSchema = 1;

using Places = std::map<std::string, VolumesByTarget>;

std::string path_of(const Paths& paths, const std::string& project) {
  return paths.project(project) + "/left-volumes.json";
}

std::string place_of(const std::string& service, int number) { return fmt::format("{}/{}", service, number); }

Result<Places> load(const std::string& path) {
  auto text = sys::read_file(path);
  if (!text) {
    if (text.error().code() == Errc::not_found) return Places{};
    return std::move(text).error();
  }
  try {
    const json object = json::parse(*text);
    TRY(check_schema(object.value("schema", 0), kSchema).with("reading {}", path));
    return object.at("places").get<Places>();
  } catch (const json::exception& e) {
    return make_error(Errc::corrupt, "reading {}: {}", path, e.what());
  }
}

}  // namespace

Result<VolumesByTarget> left_volumes(const Paths& paths, const std::string& project, const std::string& service,
                                     int number) {
  TRY_ASSIGN(Places places, load(path_of(paths, project)));
  return std::move(places[place_of(service, number)]);
}

Result<void> leave_volumes(const Paths& paths, const std::string& project, const std::string& service, int number,
                           const VolumesByTarget& volumes) {
  const std::string path = path_of(paths, project);
  TRY_ASSIGN(Places places, load(path));
  if (volumes.empty()) {
    if (places.erase(place_of(service, number)) == 0) return {};
  } else {
    places[place_of(service, number)] = volumes;
  }
  if (places.empty()) {
    forget_left_volumes(paths, project);
    return {};
  }
  return sys::write_file_atomic(path, json{{"schema", kSchema}, {"places", places}}.dump(), 0600);
}

Result<std::vector<std::string>> all_left_volumes(const Paths& paths, const std::string& project) {
  TRY_ASSIGN(const Places places, load(path_of(paths, project)));
  std::vector<std::string> names;
  for (const auto& [place, volumes] : places) {
    for (const auto& [target, name] : volumes) names.push_back(name);
  }
  return names;
}

void forget_left_volumes(const Paths& paths, const std::string& project) { ::unlink(path_of(paths, project).c_str()); }

}  // namespace compose::state

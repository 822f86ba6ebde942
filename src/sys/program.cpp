#include "sys/program.hpp"

#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <vector>

namespace compose::sys {

Result<std::string> own_program() {
  std::string path(PATH_MAX, '\0');
  const ssize_t length = ::readlink("/proc/self/exe", path.data(), path.size());
  if (length <= 0) return os_error("read /proc/self/exe");
  path.resize(static_cast<std::size_t>(length));
  return path;
}

Result<std::string> program_path(const std::string& name) {
  std::vector<std::string> folders;
  if (const char* folder = std::getenv("COMPOSE_LIBEXEC"); folder != nullptr && *folder != '\0')
    folders.emplace_back(folder);
  if (const auto own = own_program()) {
    const std::string folder = own->substr(0, own->rfind('/'));
    folders.push_back(folder);  // helpers find their siblings
    folders.push_back(folder + "/../libexec/compose");
  }
  folders.emplace_back(COMPOSE_BUILD_HELPERS);
  folders.emplace_back(COMPOSE_INSTALL_LIBEXEC);
  for (const auto& folder : folders) {
    const std::string path = folder + "/" + name;
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return make_error(Errc::not_found,
                    "the helper program \"{}\" is not in {}; install compose again or set COMPOSE_LIBEXEC", name,
                    fmt::join(folders, ", "));
}

}  // namespace compose::sys

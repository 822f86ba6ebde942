#include "image/rfc3339.hpp"

#include <fmt/format.h>

namespace compose::image {

std::string rfc3339(timespec time) {
  tm parts{};
  ::gmtime_r(&time.tv_sec, &parts);
  char text[32];
  std::string result{text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts)};
  if (time.tv_nsec != 0) {
    result += fmt::format(".{:09}", time.tv_nsec);
    result.erase(result.find_last_not_of('0') + 1);
  }
  return result + "Z";
}

}  // namespace compose::image

#include "base/ids.hpp"

#include <sys/random.h>

#include <array>
#include <cstdlib>
#include <span>

#include "base/strings.hpp"

namespace compose {

std::string random_id() {
  std::array<unsigned char, 32> bytes{};
  // 32 bytes never block or come short once the pool is initialised: random(4).
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) std::abort();
  return to_hex(bytes);
}

std::string short_id(const std::string& id) { return id.substr(0, 12); }

}  // namespace compose

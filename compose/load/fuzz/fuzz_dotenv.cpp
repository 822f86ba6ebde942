// Env files, both formats: any bytes.
#include <cstdint>

#include "compose/load/dotenv.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace compose::load;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Environment out;
  parse_dotenv(text, 1, [](std::string_view) -> const Variable* { return nullptr; }, out);
  parse_raw_env(text, 1, out);
  return 0;
}

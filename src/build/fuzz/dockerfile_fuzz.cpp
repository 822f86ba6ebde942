#include <cstddef>
#include <cstdint>

#include "build/fuzz/fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  compose::build::fuzz::dockerfile({reinterpret_cast<const char*>(data), size});
  return 0;
}

#include <cstddef>
#include <cstdint>

#include "image/fuzz/fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  compose::image::fuzz::manifest({reinterpret_cast<const char*>(data), size});
  return 0;
}

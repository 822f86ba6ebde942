#include <cstddef>
#include <cstdint>

#include "runtime/fuzz/fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  compose::runtime::fuzz::messages({reinterpret_cast<const char*>(data), size});
  return 0;
}

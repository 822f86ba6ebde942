// Interpolation: any text, with a few variables set.
#include <cstdint>

#include "compose/load/substitute.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace compose::load;
  static const Variable kValue{"${B}$$", "fuzz", {}};
  static const Variable kEmpty{"", "fuzz", {}};
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  substitute(text, [](std::string_view name) -> const Variable* {
    if (name == "A") return &kValue;
    return name == "E" ? &kEmpty : nullptr;
  });
  variables_in(text);
  return 0;
}

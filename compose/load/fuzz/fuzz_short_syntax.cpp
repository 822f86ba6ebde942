// The short forms of ports and volumes, and command lines: any text.
#include <cstdint>
#include <cstdlib>

#include "compose/load/short_syntax.hpp"
#include "compose/load/split_command.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace compose::load;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const PortSpecs ports = parse_ports(text);
  if (ports.error.empty() == ports.ports.empty()) std::abort();
  const MountSpec mount = parse_mount(text);
  if (mount.error.empty() && mount.target.empty()) std::abort();
  std::vector<std::string> words;
  split_command(text, words);
  return 0;
}

#pragma once
// The short forms of ports and volumes: one text for a whole mapping (Compose Specification, 05-services).
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace compose::load {

struct PortSpec {
  std::string host_ip;
  std::string published;  ///< "", a port, or a range for one target
  std::uint16_t target = 0;
  std::string protocol;
};

struct PortSpecs {
  std::vector<PortSpec> ports;  ///< in the order of the texts "8000/tcp"
  std::string error;            ///< what is wrong, "" when nothing is
  std::string hint;
};

/// [[HOST_IP:]HOST_PORT[-END]:]PORT[-END][/PROTOCOL]; IPv6 addresses may stand in brackets.
PortSpecs parse_ports(std::string_view text);

bool is_ip_address(std::string_view text);

struct MountSpec {
  std::string type;  ///< bind or volume
  std::string source;
  std::string target;
  bool read_only = false;
  bool nocopy = false;
  std::string propagation;
  std::string selinux;
  std::string error;
};

/// [SOURCE:]TARGET[:OPTIONS], with Windows drives ("C:\data:/data"); unknown options are passed over.
MountSpec parse_mount(std::string_view text);

}  // namespace compose::load

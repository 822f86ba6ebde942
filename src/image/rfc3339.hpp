#pragma once
#include <ctime>
#include <string>

namespace compose::image {

/// A time of the epoch as Go's RFC3339Nano has it: "2026-01-02T03:04:05.12Z", no zeros at the end. Tools in Go read the
/// configuration of an image and write it again; only so it keeps its id.
std::string rfc3339(timespec time);

}  // namespace compose::image

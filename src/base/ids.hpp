#pragma once
// Random identifiers.
#include <string>

namespace compose {

/// 64 lower-case hexadecimal digits from getrandom(2): a container's id.
std::string random_id();

/// The first 12 digits of an id, as tables and host names show it.
std::string short_id(const std::string& id);

}  // namespace compose

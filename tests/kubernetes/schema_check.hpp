#pragma once
#include <string>
#include <vector>

#include "yaml/value.hpp"

namespace compose::kubernetes::test {

/// What is wrong with an object by Kubernetes' own schema (schema.json), a field it does not know among it, and by the
/// rules of the API that no schema says: names, labels, selectors. Empty: nothing.
std::vector<std::string> check_object(const yaml::Value& object);

}  // namespace compose::kubernetes::test

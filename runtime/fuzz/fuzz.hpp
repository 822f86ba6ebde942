#pragma once
// Functions that take any bytes. libFuzzer drives them in the fuzz preset (fuzz_runtime_config, fuzz_runtime_messages);
// the unit test runs them over their corpora and over damaged copies of these.
#include <string_view>

namespace compose::runtime::fuzz {

/// config.json: what is accepted is written and read again unchanged; its plan crosses to the monitor unchanged.
void config(std::string_view bytes);
/// The monitor's messages and requests: what is accepted is written again byte for byte.
void messages(std::string_view bytes);

}  // namespace compose::runtime::fuzz

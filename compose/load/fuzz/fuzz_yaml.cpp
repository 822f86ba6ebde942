// YAML: any bytes. What is read must come out as JSON that reads back, and as YAML that means the same.
#include <cstdint>
#include <cstdlib>

#include "yaml/parse.hpp"
#include "yaml/write.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace compose::yaml;
  Limits limits;
  limits.nodes = 20000;
  limits.alias_nodes = 20000;
  const Parsed parsed = parse({reinterpret_cast<const char*>(data), size}, 1, limits);
  if (!parsed.issues.empty()) return 0;
  for (const Document& document : parsed.documents) {
    const std::string json = to_json(document.root);
    Value back;
    if (!from_json(json, back) || to_json(back) != json) std::abort();
    const Parsed again = parse(to_yaml(document.root), 1);
    if (!again.issues.empty() || again.documents.size() != 1) std::abort();
    if (to_json(again.documents[0].root) != json) std::abort();
  }
  return 0;
}

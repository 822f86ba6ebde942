#include "base/schema.hpp"

namespace compose {

Result<void> check_schema(std::int64_t schema, int known) {
  if (schema > known) {
    return make_error(Errc::unsupported,
                      "it has schema {}, this version reads up to {}: a newer version of compose wrote it, use that",
                      schema, known);
  }
  if (schema == 0) return make_error(Errc::corrupt, "it has no schema: no version of compose wrote it like this");
  if (schema < 0) return make_error(Errc::corrupt, "schema {} does not exist", schema);
  return {};
}

}  // namespace compose

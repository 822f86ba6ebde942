#include "runtime/launch/plan_fields.hpp"

namespace compose::runtime::launch {
std::string serialize(const LaunchPlan& plan) {
  codec::PackedEncoder encoder;
  encoder("version", kPlanVersion);
  encoder("plan", plan);
  return std::move(encoder).take();
}

Result<LaunchPlan> deserialize(std::string_view bytes) {
  std::uint64_t version = 0;
  LaunchPlan plan;
  codec::PackedDecoder decoder{bytes};
  decoder("version", version);
  if (version != kPlanVersion) {
    return make_error(Errc::corrupt, "launch plan: version {} instead of {}", version, kPlanVersion);
  }
  decoder("plan", plan);
  if (!decoder.complete()) return make_error(Errc::corrupt, "launch plan: broken at \"{}\"", decoder.culprit());
  return plan;
}

std::string to_text(const LaunchPlan& plan) {
  codec::TextWriter writer;
  fields(writer, plan);
  return std::move(writer).take();
}

}  // namespace compose::runtime::launch

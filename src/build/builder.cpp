#include "build/builder.hpp"

namespace compose::build {

Result<image::Image> build(const BuildRequest&, image::Store&, const PullImage&) {
  return make_error(Errc::unsupported, "building images is not available yet");
}
Result<std::vector<std::string>> base_images(const BuildRequest&) { return std::vector<std::string>{}; }

}  // namespace compose::build

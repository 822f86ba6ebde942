#include "build/contexts.hpp"

#include <string_view>

#include "image/reference.hpp"

namespace compose::build {

namespace {

constexpr std::string_view kImage = "docker-image://";
constexpr std::string_view kLayout = "oci-layout://";
constexpr std::string_view kService = "service:";

std::string normal_name(const std::string& name) {
  const auto reference = image::parse_reference(name);
  return reference ? reference->familiar() : name;
}

NamedContext describe(const std::string& name, const std::string& source) {
  using Kind = NamedContext::Kind;
  if (source.starts_with(kImage)) return {Kind::image, name, source.substr(kImage.size())};
  if (source.starts_with(kLayout)) return {Kind::layout, name, source.substr(kLayout.size())};
  if (source.starts_with(kService)) return {Kind::service, name, source};
  if (is_remote(source)) return {Kind::remote, name, source};
  return {Kind::folder, name, source};
}

}  // namespace

bool is_remote(const std::string& text) {
  for (const std::string_view prefix : {"http://", "https://", "git://", "ssh://", "git@", "github.com/"})
    if (text.starts_with(prefix)) return true;
  return false;
}

std::optional<NamedContext> find_context(const model::StringMap& contexts, const std::string& name) {
  if (const auto found = contexts.find(name); found != contexts.end()) return describe(name, found->second);
  if (contexts.empty()) return std::nullopt;
  const std::string wanted = normal_name(name);
  for (const auto& [key, source] : contexts)
    if (normal_name(key) == wanted) return describe(key, source);
  return std::nullopt;
}

}  // namespace compose::build

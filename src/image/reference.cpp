#include "image/reference.hpp"

#include <algorithm>

#include "base/strings.hpp"
#include "image/digest.hpp"

namespace compose::image {

namespace {

constexpr std::string_view kDefaultDomain = "docker.io";
constexpr std::string_view kOfficialPrefix = "library/";
constexpr std::size_t kMaxName = 255;

bool is_lower_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_alnum(char c) { return is_lower_alnum(c) || (c >= 'A' && c <= 'Z'); }

// Alphanumerics, with "." "_" "__" or any number of "-" between them.
bool is_path_component(std::string_view text) {
  if (text.empty() || !is_lower_alnum(text.front()) || !is_lower_alnum(text.back())) return false;
  for (std::size_t i = 0; i < text.size();) {
    if (is_lower_alnum(text[i])) {
      ++i;
      continue;
    }
    std::size_t end = i;
    while (end < text.size() && text[end] == text[i]) ++end;
    const std::size_t run = end - i;
    const bool separator = text[i] == '-' || (text[i] == '.' && run == 1) || (text[i] == '_' && run <= 2);
    if (!separator || end == text.size() || !is_lower_alnum(text[end])) return false;
    i = end;
  }
  return true;
}

bool is_domain_component(std::string_view text) {
  return !text.empty() && is_alnum(text.front()) && is_alnum(text.back()) &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_alnum(c) || c == '-'; });
}

bool is_domain(std::string_view text) {
  std::string_view host = text;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos || end == 1) return false;
    const bool address = std::all_of(text.begin() + 1, text.begin() + static_cast<std::ptrdiff_t>(end),
                                     [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) || c == ':'; });
    const std::string_view rest = text.substr(end + 1);
    return address && (rest.empty() || (rest.starts_with(':') && is_digits(rest.substr(1))));
  }
  if (const std::size_t colon = text.find(':'); colon != std::string_view::npos) {
    if (!is_digits(text.substr(colon + 1))) return false;
    host = text.substr(0, colon);
  }
  const std::vector<std::string> parts = split(host, '.');
  return std::all_of(parts.begin(), parts.end(), is_domain_component);
}

bool is_tag(std::string_view text) {
  return !text.empty() && text.size() <= 128 && (is_alnum(text.front()) || text.front() == '_') &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_alnum(c) || c == '_' || c == '.' || c == '-'; });
}

bool looks_like_domain(std::string_view first) {
  return first.find_first_of(".:") != std::string_view::npos || first == "localhost" || first.starts_with('[') ||
         to_lower(first) != first;
}

bool is_image_id(std::string_view text) { return is_digest(fmt::format("sha256:{}", text)); }

Error invalid(std::string_view text, std::string_view why) {
  return make_error(Errc::invalid, "invalid image name \"{}\": {}", text.substr(0, 300), why);
}

}  // namespace

Result<Reference> parse_reference(std::string_view text) {
  Reference result;
  std::string_view rest = text;
  if (const std::size_t at = rest.find('@'); at != std::string_view::npos) {
    if (!is_digest(rest.substr(at + 1))) return invalid(text, "the part after \"@\" is not a sha256 digest");
    result.digest = rest.substr(at + 1);
    rest = rest.substr(0, at);
  }
  if (is_image_id(rest)) {
    return invalid(text, "64 hexadecimal digits are an image id");
  }
  const std::size_t slash = rest.find('/');
  if (slash != std::string_view::npos && looks_like_domain(rest.substr(0, slash))) {
    result.domain = rest.substr(0, slash);
    rest = rest.substr(slash + 1);
    if (!is_domain(result.domain)) return invalid(text, "the registry's host is malformed");
    if (result.domain == "index.docker.io") result.domain = kDefaultDomain;
  } else {
    result.domain = kDefaultDomain;
  }
  if (const std::size_t colon = rest.rfind(':'); colon != std::string_view::npos) {
    result.tag = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
    if (!is_tag(result.tag)) return invalid(text, "the tag is malformed");
  }
  if (rest.empty()) return invalid(text, "the name is empty");
  if (to_lower(rest) != rest) return invalid(text, "the name must be in lower case");
  const std::vector<std::string> components = split(rest, '/');
  if (!std::all_of(components.begin(), components.end(), is_path_component)) {
    return invalid(text, "letters, digits and single separators \". _ -\" between them are allowed");
  }
  result.path = rest;
  if (result.domain == kDefaultDomain && components.size() == 1)
    result.path = std::string{kOfficialPrefix} + result.path;
  if (result.domain.size() + 1 + result.path.size() > kMaxName)
    return invalid(text, "it is longer than 255 characters");
  if (result.tag.empty() && result.digest.empty()) result.tag = "latest";
  return result;
}

std::string Reference::full() const {
  std::string text = domain + "/" + path;
  if (!tag.empty()) text += ":" + tag;
  if (!digest.empty()) text += "@" + digest;
  return text;
}

std::string Reference::familiar_name() const {
  if (domain != kDefaultDomain) return domain + "/" + path;
  const bool official =
      path.starts_with(kOfficialPrefix) && path.find('/', kOfficialPrefix.size()) == std::string::npos;
  const std::string name = official ? path.substr(kOfficialPrefix.size()) : path;
  // Without the host it would be read as another one, or as an id.
  const bool misread = official ? is_image_id(name) : looks_like_domain(name.substr(0, name.find('/')));
  return misread ? domain + "/" + path : name;
}

std::string Reference::familiar() const {
  std::string text = familiar_name();
  if (!tag.empty()) text += ":" + tag;
  if (!digest.empty()) text += "@" + digest;
  return text;
}

}  // namespace compose::image

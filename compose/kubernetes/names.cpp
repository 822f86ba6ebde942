#include "compose/kubernetes/names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "base/sha256.hpp"
#include "base/strings.hpp"
#include "yaml/scanner.hpp"

namespace compose::kubernetes {
namespace {

constexpr std::size_t kLabelLength = 63;

bool alphanumeric(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }

// "name" of a label or annotation, and a label's value.
bool qualified(std::string_view text, std::size_t least) {
  if (text.size() < least || text.size() > kLabelLength) return false;
  if (text.empty()) return true;
  if (!alphanumeric(text.front()) || !alphanumeric(text.back())) return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return alphanumeric(c) || c == '-' || c == '_' || c == '.'; });
}

bool valid_key(std::string_view key) {
  const std::size_t slash = key.find('/');
  if (slash == std::string_view::npos) return qualified(key, 1);
  return is_subdomain(key.substr(0, slash)) && qualified(key.substr(slash + 1), 1);
}

constexpr std::pair<std::string_view, std::int64_t> kUnits[] = {
    {"Ti", 1LL << 40}, {"Gi", 1LL << 30}, {"Mi", 1LL << 20}, {"Ki", 1LL << 10}};

}  // namespace

bool is_subdomain(std::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  for (const std::string& part : split(text, '.')) {
    if (part.empty() || part.size() > kLabelLength || part.front() == '-' || part.back() == '-') return false;
    for (const char c : part)
      if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-') return false;
  }
  return true;
}

bool is_dns_label(std::string_view name) {
  if (name.empty() || name.size() > kLabelLength || name.front() < 'a' || name.front() > 'z' || name.back() == '-')
    return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

std::string dns_label(std::string_view name, std::size_t most) {
  std::string label;
  for (const char c : to_lower(name)) label += alphanumeric(c) ? c : '-';
  while (label.ends_with('-')) label.pop_back();
  label.erase(0, std::min(label.find_first_not_of('-'), label.size()));
  if (label.empty() || label[0] < 'a') label.insert(0, label.empty() ? "x" : "x-");
  if (label.size() <= most) return label;
  label.resize(most - 9);
  while (label.ends_with('-')) label.pop_back();
  return label + "-" + sha256_hex(name).substr(0, 8);
}

std::string wait_name(std::string_view what, std::string_view name) {
  return dns_label(fmt::format("wait-{}-{}", what, name));
}

bool valid_label(std::string_view key, std::string_view value) { return valid_key(key) && qualified(value, 0); }

bool valid_annotation_key(std::string_view key) { return valid_key(key); }

std::string bytes_quantity(std::int64_t bytes) {
  for (const auto& [unit, size] : kUnits)
    if (bytes != 0 && bytes % size == 0) return fmt::format("{}{}", bytes / size, unit);
  return std::to_string(bytes);
}

std::string cpu_quantity(double cpus) {
  const auto thousandths = std::max<std::int64_t>(cpus > 0 ? 1 : 0, std::llround(cpus * 1000));
  if (thousandths % 1000 == 0) return std::to_string(thousandths / 1000);
  return fmt::format("{}m", thousandths);
}

bool is_quantity(std::string_view text) {
  std::size_t at = 0;
  std::size_t digits = 0;
  for (bool dot = false; at < text.size(); ++at) {
    if (text[at] == '.' && !dot)
      dot = true;
    else if (text[at] >= '0' && text[at] <= '9')
      ++digits;
    else
      break;
  }
  constexpr std::string_view kSuffixes[] = {"", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
  return digits > 0 && std::find(std::begin(kSuffixes), std::end(kSuffixes), text.substr(at)) != std::end(kSuffixes);
}

std::int64_t parse_bytes_quantity(std::string_view text) {
  for (const auto& [unit, size] : kUnits)
    if (text.ends_with(unit)) return parse_signed(text.substr(0, text.size() - 2)).value_or(0) * size;
  return parse_signed(text).value_or(0);
}

double parse_cpu_quantity(std::string_view text) {
  const bool thousandths = text.ends_with('m');
  if (thousandths) text.remove_suffix(1);
  const auto number = static_cast<double>(parse_signed(text).value_or(0));
  return thousandths ? number / 1000 : number;
}

std::int64_t seconds(Duration duration, std::int64_t least) {
  const auto second = std::chrono::nanoseconds{std::chrono::seconds{1}};
  return std::max<std::int64_t>(least, (duration + second - std::chrono::nanoseconds{1}) / second);
}

bool whole_seconds(Duration duration) { return duration % std::chrono::seconds{1} == Duration::zero(); }

bool looks_secret(std::string_view variable) {
  const std::string name = to_lower(variable);
  if (name.ends_with("_file") || name.ends_with("_path")) return false;
  for (const char* part : {"password", "passwd", "secret", "token", "credential", "private_key", "api_key", "apikey"})
    if (name.find(part) != std::string::npos) return true;
  return name.ends_with("_key") || name.ends_with("_pass") || name.ends_with("_pwd");
}

std::string base64(std::string_view bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j)
      group = group << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    for (std::size_t j = 0; j < 4; ++j) text += i + j > bytes.size() ? '=' : kDigits[group >> (18 - 6 * j) & 63U];
  }
  return text;
}

std::string from_base64(std::string_view text) {
  std::string bytes;
  std::uint32_t group = 0;
  int bits = 0;
  for (const char c : text) {
    int digit = -1;
    if (c >= 'A' && c <= 'Z') digit = c - 'A';
    if (c >= 'a' && c <= 'z') digit = c - 'a' + 26;
    if (c >= '0' && c <= '9') digit = c - '0' + 52;
    if (c == '+') digit = 62;
    if (c == '/') digit = 63;
    if (digit < 0) continue;  // padding and line breaks
    group = (group << 6 | static_cast<std::uint32_t>(digit)) & 0xffffffU;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes += static_cast<char>(group >> bits & 0xffU);
  }
  return bytes;
}

bool is_text(std::string_view bytes) {
  const auto bad = yaml::check_characters(bytes);
  return !bad;
}

}  // namespace compose::kubernetes

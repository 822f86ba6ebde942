#include "compose/load/sources.hpp"

#include <fmt/format.h>

namespace compose::load {

std::uint32_t Sources::add(std::string name, std::string path, std::string text) {
  sources_.push_back({std::move(name), std::move(path), std::move(text)});
  return static_cast<std::uint32_t>(sources_.size());
}

const Source* Sources::get(std::uint32_t number) const {
  return number == 0 || number > sources_.size() ? nullptr : &sources_[number - 1];
}

std::string_view Sources::text(std::uint32_t number) const {
  const Source* source = get(number);
  return source == nullptr ? std::string_view{} : std::string_view(source->text);
}

std::string Sources::describe(const Place& place) const {
  const Source* source = get(place.source);
  if (source == nullptr) return {};
  if (!place.known()) return source->name;
  return fmt::format("{}:{}:{}", source->name, place.line, place.column);
}

std::string_view Sources::line(const Place& place) const {
  std::string_view text = this->text(place.source);
  for (std::uint32_t i = 1; i < place.line; ++i) {
    const auto end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  text = text.substr(0, text.find('\n'));
  if (text.ends_with('\r')) text.remove_suffix(1);
  return text;
}

}  // namespace compose::load

// `config --explain`: for every value its place, the steps it went through, the variables that made it.
#include <fmt/format.h>

#include <algorithm>

#include "compose/load/config_command.hpp"
#include "yaml/write.hpp"

namespace compose::load {
namespace {

class Explainer {
 public:
  Explainer(const LoadResult& loaded, const std::string& wanted, bool json)
      : loaded_{loaded}, wanted_{wanted}, json_{json} {}

  std::string run() {
    walk(loaded_.canonical, Path{}, {});
    if (!json_) return std::move(text_);
    Value out = Value::mapping();
    out.entries().set("values", std::move(list_));
    return yaml::to_json(out) + "\n";
  }

 private:
  // `key` is where the key of the value stands, for values that are made from it.
  void walk(const Value& value, const Path& path, const Place& key) {
    if (const Mapping* mapping = value.if_mapping(); mapping != nullptr && !mapping->empty()) {
      std::vector<const Entry*> order;
      for (const Entry& entry : *mapping) order.push_back(&entry);
      std::sort(order.begin(), order.end(), [](const Entry* a, const Entry* b) { return a->key < b->key; });
      for (const Entry* entry : order) walk(entry->value, Path(path, entry->key), entry->key_place);
    } else if (const Sequence* items = value.if_sequence(); items != nullptr && !items->empty()) {
      std::size_t index = 0;
      for (const Value& item : *items) walk(item, Path(path, index++), item.place);
    } else {
      one(value, path.to_string(), key);
    }
  }

  bool selected(const std::string& path) const {
    if (wanted_.empty() || path == wanted_) return true;
    return path.starts_with(wanted_) && (path[wanted_.size()] == '.' || path[wanted_.size()] == '[');
  }

  std::string shown(const Value& value) const { return yaml::to_json(value, {true, false, false}); }

  void one(const Value& value, const std::string& path, const Place& key) {
    if (!selected(path)) return;
    const Place& place = value.place.known() ? value.place : key;
    if (json_) {
      list_.items().push_back(as_json(value, path, place));
      return;
    }
    const std::string where = loaded_.sources.describe(place);
    text_ += fmt::format("{} = {}\n    {}\n", path, shown(value), where.empty() ? "made by the loader" : where);
    for (const Trace* step = loaded_.traces.get(value.trace); step != nullptr;
         step = loaded_.traces.get(step->previous)) {
      text_ += fmt::format("    {}{}{}", step->rule, step->detail.empty() ? "" : ": ", step->detail);
      const std::string other = loaded_.sources.describe(step->place);
      text_ += other.empty() ? "\n" : fmt::format(" ({})\n", other);
    }
  }

  void put_place(Value& out, const Place& place) const {
    const Source* source = loaded_.sources.get(place.source);
    if (source == nullptr) return;
    out.entries().set("file", Value::string(source->path));
    if (!place.known()) return;
    out.entries().set("line", Value::integer(place.line));
    out.entries().set("column", Value::integer(place.column));
  }

  Value as_json(const Value& value, const std::string& path, const Place& place) const {
    Value out = Value::mapping();
    out.entries().set("path", Value::string(path));
    out.entries().set("value", value);
    put_place(out, place);
    Value steps = Value::sequence();
    for (const Trace* step = loaded_.traces.get(value.trace); step != nullptr;
         step = loaded_.traces.get(step->previous)) {
      Value item = Value::mapping();
      item.entries().set("rule", Value::string(step->rule));
      if (!step->detail.empty()) item.entries().set("detail", Value::string(step->detail));
      put_place(item, step->place);
      steps.items().push_back(std::move(item));
    }
    if (!steps.items().empty()) out.entries().set("steps", std::move(steps));
    return out;
  }

  const LoadResult& loaded_;
  const std::string& wanted_;
  bool json_;
  std::string text_;
  Value list_ = Value::sequence();
};

}  // namespace

std::string explain(const LoadResult& loaded, const std::string& path, bool json) {
  return Explainer(loaded, path, json).run();
}

}  // namespace compose::load

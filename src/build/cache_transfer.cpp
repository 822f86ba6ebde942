#include "build/cache_transfer.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.hpp"
#include "image/digest.hpp"
#include "image/json_values.hpp"
#include "image/reference.hpp"
#include "image/store_internal.hpp"
#include "sys/file.hpp"

namespace compose::build {

namespace {

constexpr const char* kMember = "compose.build.steps";
constexpr const char* kNote = "steps of a build, kept by cache_to";
constexpr std::size_t kMaxRecords = std::size_t{64} << 20;

nlohmann::json to_document(const StepRecords& records) {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& [key, result] : records)
    list.push_back({{"key", key}, {"chain", result.chain}, {"empty", result.empty}, {"created", result.created}});
  return list;
}

bool is_key(const std::string& text) {
  return text.size() == 64 &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

StepRecords from_document(const nlohmann::json& list) {
  StepRecords records;
  for (const nlohmann::json& item : list) {
    const std::string key = image::json_text(item, "key");
    StepResult result{image::json_texts(item, "chain"), false, image::json_text(item, "created")};
    const nlohmann::json* empty = image::json_member(item, "empty");
    result.empty = empty != nullptr && empty->is_boolean() && empty->get<bool>();
    const bool digests = std::all_of(result.chain.begin(), result.chain.end(),
                                     [](const std::string& digest) { return image::is_digest(digest); });
    if (is_key(key) && digests && !result.created.empty()) records[key] = std::move(result);
  }
  return records;
}

/// Those whose layers are here.
Result<void> remember(const StepRecords& records, const image::Store::Internal& store, const StepCache& cache) {
  for (const auto& [key, result] : records) {
    TRY_ASSIGN(const std::optional<StepResult> known, cache.find(key));
    if (known) continue;
    std::string chain;
    for (const std::string& diff_id : result.chain) chain = image::chain_id(chain, diff_id);
    if (!chain.empty()) {
      TRY_ASSIGN(const std::optional<image::Layer> top, store.layer(chain));
      if (!top) continue;
    }
    TRY(cache.remember(key, result));
  }
  return {};
}

Result<void> import_local(const CacheSpec& spec, image::Store& store, const StepCache& cache) {
  TRY_ASSIGN(const std::string text, sys::read_file(spec.place + "/steps.json", kMaxRecords));
  TRY_ASSIGN(const StepRecords records, parse_records(text).with("{}/steps.json", spec.place));
  bool complete = true;
  for (const auto& [key, result] : records) {
    TRY_ASSIGN(const std::optional<StepResult> known, cache.find(key));
    complete = complete && known;
  }
  if (complete) return {};
  TRY(store.load(spec.place + "/layers.tar"));
  return remember(records, store.internal(), cache);
}

/// The records in an image's configuration; nothing when it has none.
std::optional<StepRecords> records_of(const std::string& config) {
  const nlohmann::json document = nlohmann::json::parse(config, nullptr, false);
  const nlohmann::json* list = image::json_member(document, kMember);
  if (list == nullptr || !list->is_array()) return std::nullopt;
  return from_document(*list);
}

/// An image that is here, else what the registry has under that name.
Result<void> import_image(const CacheSpec& spec, image::Store& store, const StepCache& cache,
                          const OpenRegistry& registry, RemoteSteps& remote) {
  TRY_ASSIGN(const std::optional<image::Image> image, store.find(spec.place));
  if (image) {
    TRY_ASSIGN(const std::string config, store.internal().read_blob(image->id));
    if (const auto records = records_of(config)) return remember(*records, store.internal(), cache);
  }
  if (!registry) return make_error(Errc::not_found, "\"{}\" is not in the store", spec.place);
  TRY_ASSIGN(image::registry::Registry* const client, registry());
  TRY_ASSIGN(const image::Reference reference, image::parse_reference(spec.place));
  TRY_ASSIGN(std::vector<image::registry::RemoteImage> images, client->look(reference).with("\"{}\"", spec.place));
  bool any = false;
  for (image::registry::RemoteImage& found : images) {
    const auto records = records_of(found.config_json);
    if (!records) continue;
    any = true;
    remote.add(*client, std::move(found), *records);
  }
  if (any) return {};
  return make_error(Errc::not_found,
                    "\"{}\" holds no steps: it was built without cache_to (type=inline or type=registry) of compose",
                    spec.place);
}

using Fields = std::map<std::string, std::string>;

Result<Fields> parse_fields(const std::string& text) {
  Fields fields;
  for (const std::string& field : split(text, ',')) {
    const std::size_t equals = field.find('=');
    if (equals == std::string::npos) return make_error(Errc::invalid, "\"{}\": \"{}\" is not KEY=VALUE", text, field);
    fields[to_lower(trim(field.substr(0, equals)))] = field.substr(equals + 1);
  }
  return fields;
}

std::string take(Fields& fields, const std::string& key) {
  const auto found = fields.find(key);
  if (found == fields.end()) return {};
  std::string value = std::move(found->second);
  fields.erase(found);
  return value;
}

}  // namespace

Result<CacheSpec> parse_cache_spec(const std::string& text, bool to) {
  CacheSpec spec;
  if (text.find('=') == std::string::npos) {
    if (to && text == "inline") {
      spec.type = CacheSpec::Type::inline_;
    } else {
      spec.place = text;
    }
    return spec;
  }
  TRY_ASSIGN(Fields fields, parse_fields(text));
  const std::string type = to_lower(take(fields, "type"));
  std::string place_key = "ref";
  if (type == "local") {
    spec.type = CacheSpec::Type::local;
    place_key = to ? "dest" : "src";
  } else if (type == "inline" && to) {
    spec.type = CacheSpec::Type::inline_;
  } else if (type != "registry") {
    return make_error(Errc::unsupported, "\"{}\": caches are of type local, {}registry here", text,
                      to ? "inline or " : "or ");
  }
  if (spec.type != CacheSpec::Type::inline_) {
    spec.place = take(fields, place_key);
    if (spec.place.empty()) return make_error(Errc::invalid, "\"{}\" has no {}", text, place_key);
  }
  const std::string mode = to ? take(fields, "mode") : "";
  if (!mode.empty() && mode != "min" && mode != "max")
    return make_error(Errc::invalid, "\"{}\": mode is min or max, not \"{}\"", text, mode);
  spec.all_stages = mode == "max";
  spec.ignore_error = to && take(fields, "ignore-error") == "true";
  for (const auto& [key, value] : fields) spec.unused.push_back(key);
  return spec;
}

void RemoteSteps::add(image::registry::Registry& registry, image::registry::RemoteImage image,
                      const StepRecords& records) {
  registry_ = &registry;
  for (const auto& [key, result] : records) {
    const std::vector<std::string>& has = image.config.diff_ids;
    const bool contained =
        result.chain.size() <= has.size() && std::equal(result.chain.begin(), result.chain.end(), has.begin());
    if (contained) steps_.try_emplace(key, Step{result, images_.size()});
  }
  images_.push_back(std::move(image));
}

Result<std::optional<StepResult>> RemoteSteps::fetch(const std::string& key) const {
  const auto found = steps_.find(key);
  if (found == steps_.end()) return std::optional<StepResult>{};
  const Step& step = found->second;
  TRY(registry_->fetch_layers(images_[step.image], step.result.chain.size()));
  return std::optional{step.result};
}

std::string records_json(const StepRecords& records) { return to_document(records).dump(1) + "\n"; }

Result<StepRecords> parse_records(const std::string& json) {
  const nlohmann::json list = nlohmann::json::parse(json, nullptr, false);
  if (!list.is_array()) return make_error(Errc::corrupt, "not the steps of a build");
  return from_document(list);
}

std::string with_records(const std::string& config_json, const StepRecords& records,
                         const std::vector<std::string>& diff_ids) {
  StepRecords own;
  for (const auto& [key, result] : records) {
    const bool contained = result.chain.size() <= diff_ids.size() &&
                           std::equal(result.chain.begin(), result.chain.end(), diff_ids.begin());
    if (contained) own[key] = result;
  }
  nlohmann::ordered_json document = nlohmann::ordered_json::parse(config_json, nullptr, false);
  document[kMember] = nlohmann::ordered_json::parse(to_document(own).dump());
  return document.dump();
}

Result<void> import_cache(const CacheSpec& spec, image::Store& store, const StepCache& cache,
                          const OpenRegistry& registry, RemoteSteps& remote) {
  if (spec.type == CacheSpec::Type::local) return import_local(spec, store, cache);
  return import_image(spec, store, cache, registry, remote);
}

Result<void> export_registry(const CacheSpec& spec, const std::vector<image::ImageConfig>& images,
                             const StepRecords& records, const OpenRegistry& registry) {
  if (!registry) return make_error(Errc::unsupported, "there is no registry client for \"{}\"", spec.place);
  TRY_ASSIGN(const image::Reference reference, image::parse_reference(spec.place));
  TRY_ASSIGN(image::registry::Registry* const client, registry());
  std::vector<std::string> configs;
  for (const image::ImageConfig& config : images) {
    std::string json = with_records(image::to_json(config), records, config.diff_ids);
    if (std::find(configs.begin(), configs.end(), json) == configs.end()) configs.push_back(std::move(json));
  }
  TRY(client->push_index(reference, configs));
  return {};
}

Result<void> export_local(const CacheSpec& spec, image::Store& store, const std::vector<image::ImageConfig>& images,
                          const StepRecords& records) {
  TRY(sys::make_directories(spec.place, 0755));
  std::vector<std::string> ids;
  for (image::ImageConfig config : images) {
    // Unlike every image somebody has, so that taking it away again takes nothing else away.
    config.author = kNote;
    TRY_ASSIGN(const image::Image added, store.internal().add_image(image::to_json(config), {}));
    if (std::find(ids.begin(), ids.end(), added.id) == ids.end()) ids.push_back(added.id);
  }
  const std::string archive = spec.place + "/layers.tar";
  const Result<void> saved = store.save(ids, archive + ".new");
  for (const std::string& id : ids) (void)store.remove(id).ok();
  TRY(Result<void>{saved});
  if (::rename((archive + ".new").c_str(), archive.c_str()) != 0) return os_error("write \"{}\"", archive);
  return sys::write_file_atomic(spec.place + "/steps.json", records_json(records), 0644);
}

}  // namespace compose::build

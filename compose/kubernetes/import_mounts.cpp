// Volumes, configs and secrets of a service, from its pod's volumes and its container's mounts.
#include "compose/kubernetes/import_parts.hpp"

namespace compose::kubernetes {
namespace {

const Value* volume_of(const Value& pod, const std::string& name) {
  const Value* list = dig(pod, {"spec", "volumes"});
  if (list == nullptr) return nullptr;
  for (const Value& one : list->items())
    if (text_at(one, {"name"}) == name) return &one;
  return nullptr;
}

std::int64_t size_of(const Value& volume) { return parse_bytes_quantity(text_at(volume, {"emptyDir", "sizeLimit"})); }

void reference(Value& service, const char* section, const std::string& source, const Value& mount, const Value* mode) {
  Value item = object({{"source", text(source)}, {"target", text(text_at(mount, {"mountPath"}))}});
  if (mode != nullptr) put(item, "mode", text(fmt::format("{:04o}", mode->as_integer())));
  Value list = service.get(section) != nullptr ? *service.get(section) : Value::sequence();
  append(list, std::move(item));
  put(service, section, std::move(list));
}

Value bind_of(const Value& mount, const Value& volume) {
  Value item = object({{"type", text("bind")}, {"source", text(text_at(volume, {"hostPath", "path"}))}});
  Value bind = Value::mapping();
  const std::string propagation = text_at(mount, {"mountPropagation"});
  if (propagation == "Bidirectional") put(bind, "propagation", text("rshared"));
  if (propagation == "HostToContainer") put(bind, "propagation", text("rslave"));
  const std::string type = text_at(volume, {"hostPath", "type"});
  put(bind, "create_host_path", flag(type != "Directory"));
  put(item, "bind", std::move(bind));
  return item;
}

}  // namespace

void import_mounts(const Cluster& cluster, const Value& pod, const Value& container, Value& service) {
  Value volumes = Value::sequence();
  Value tmpfs = Value::sequence();
  const Value* mounts = container.get("volumeMounts");
  if (mounts == nullptr) return;
  for (const Value& mount : mounts->items()) {
    const std::string name = text_at(mount, {"name"});
    const std::string target = text_at(mount, {"mountPath"});
    const Value* volume = volume_of(pod, name);
    if (volume == nullptr) continue;
    Value item;
    if (const Value* claim = volume->get("persistentVolumeClaim")) {
      const std::string called = text_at(*claim, {"claimName"});
      const bool ours = cluster.find("PersistentVolumeClaim", called) != nullptr;
      item = object({{"type", text("volume")}, {"source", text(cluster.original("volumes", ours ? called : name))}});
      if (const std::string below = text_at(mount, {"subPath"}); !below.empty())
        put(item, "volume", object({{"subpath", text(below)}}));
    } else if (volume->get("hostPath") != nullptr) {
      item = bind_of(mount, *volume);
    } else if (const Value* image = volume->get("image")) {
      item = object({{"type", text("image")}, {"source", text(text_at(*image, {"reference"}))}});
      if (const std::string below = text_at(mount, {"subPath"}); !below.empty())
        put(item, "image", object({{"subpath", text(below)}}));
    } else if (const Value* secret = volume->get("secret")) {
      reference(service, "secrets", cluster.original("secrets", text_at(*secret, {"secretName"})), mount,
                secret->get("defaultMode"));
      continue;
    } else if (const Value* map = volume->get("configMap")) {
      if (!name.starts_with("config-")) continue;  // a file that was bound: its place on the host is lost
      const std::string called = text_at(*map, {"name"});
      const Value* object_ = cluster.find("ConfigMap", called);
      const std::string source =
          object_ != nullptr ? annotation(*object_, "config") : cluster.original("configs", called);
      reference(service, "configs", source, mount, map->get("defaultMode"));
      continue;
    } else if (name.starts_with("shm-")) {
      put(service, "shm_size", text(std::to_string(size_of(*volume))));
      continue;
    } else if (name.starts_with("tmpfs-")) {
      append(tmpfs, text(size_of(*volume) > 0 ? fmt::format("{}:size={}", target, size_of(*volume)) : target));
      continue;
    } else if (name.starts_with("memory-")) {
      item = object({{"type", text("tmpfs")}});
      if (size_of(*volume) > 0) put(item, "tmpfs", object({{"size", text(std::to_string(size_of(*volume)))}}));
    } else {
      item = object({{"type", text("volume")}});
    }
    put(item, "target", text(target));
    if (mount.get("readOnly") != nullptr && volume->get("image") == nullptr) put(item, "read_only", flag(true));
    append(volumes, std::move(item));
  }
  put(service, "volumes", std::move(volumes));
  put(service, "tmpfs", std::move(tmpfs));
}

}  // namespace compose::kubernetes

#pragma once
// The attributes of the model with their types: what each may hold and how it is written in canonical form.
#include <initializer_list>
#include <string_view>
#include <unordered_map>

namespace compose::load {

enum class Type {
  text,          ///< dropped when empty
  flag,          ///< dropped when false
  maybe_flag,    ///< a boolean whose false counts
  opt_out,       ///< a boolean that is true unless said otherwise: dropped when true
  whole,         ///< dropped when 0
  maybe_whole,   ///< 0 counts
  real,          ///< single precision, dropped when 0
  bytes,         ///< "64m"; a string of digits, dropped when 0
  span,          ///< a duration, dropped when 0
  maybe_span,    ///< a duration whose 0 counts
  command,       ///< a list, or text split as a shell would; null when not set, always there
  test,          ///< of a health check: a list, or text for CMD-SHELL
  texts,         ///< a list of strings
  labels,        ///< name -> text, "" without a value
  mapping,       ///< the same, for annotations, options and the like
  environment,   ///< name -> text or null
  hosts,         ///< extra_hosts: a sorted list of host=address
  multi,         ///< name -> list of texts
  ulimits,       ///< name -> number or {soft, hard}
  file_mode,     ///< octal, written "0440"
  device_count,  ///< a number, "all" is -1; dropped when 0
  ssh,           ///< id -> path
  object,        ///< `fields`
  objects,       ///< list of them
  object_map,    ///< name -> one of them
  nullable_map,  ///< name -> one of them, or null
  any,           ///< as it is
};

struct Object;

struct Field {
  Type type = Type::any;
  const Object* fields = nullptr;  ///< of object, objects and the maps
  bool always = false;             ///< an object that is written even when the files do not have it
};

struct Object {
  Object(std::initializer_list<std::pair<const std::string_view, Field>> all) : fields{all} {}
  const Field* find(std::string_view name) const {
    const auto found = fields.find(name);
    return found == fields.end() ? nullptr : &found->second;
  }
  std::unordered_map<std::string_view, Field> fields;
};

/// The whole project.
const Object& project_fields();
/// A service.
const Object& service_fields();

}  // namespace compose::load

#pragma once
// Stages: include, extends and the merge of files, in the order the specification gives them. Makes one tree of
// several files: short forms expanded, checked against the schema, relative paths resolved.
#include <map>
#include <memory>
#include <optional>

#include "compose/load/read_document.hpp"
#include "compose/load/session.hpp"

namespace compose::load {

/// What the files of one model (the project, or one include) have in common.
struct Scope {
  std::string directory;  ///< absolute: where include and extends look for files
  std::string folder;     ///< what relative paths in the model become relative to: the directory, as a rule
  const Environment& environment;
  std::vector<std::string> included;  ///< the files that led here by include
};

class ModelLoader {
 public:
  ModelLoader(Session& session, std::string root_directory)
      : session_{session}, root_directory_{std::move(root_directory)} {}

  /// Documents that are read already (the -f files, whose names are looked at first), else they are read here.
  void provide(const std::string& path, ReadFile file) { provided_.insert_or_assign(path, std::move(file)); }

  /// Loads and merges `files` (absolute, or "-"). `asked` names the place that asked for them.
  Value load(const std::vector<std::string>& files, const Scope& scope, const Place& asked = {},
             const std::string& asked_path = {});

 private:
  struct Base;  // the services of a file that is extended
  struct Chain {
    const Chain* parent = nullptr;
    std::string file;
    std::string service;
    int length = 1;
  };
  // Where a service that extends another stands.
  struct Level {
    Value* services;
    const Value* resets;
    std::string path;
    const Scope* scope;
  };

  std::optional<ReadFile> open(const std::string& path, const Place& asked, const std::string& asked_path);
  void merge_file(const std::string& path, const Scope& scope, Value& model, const Place& asked,
                  const std::string& asked_path);
  void merge_document(Value&& document, bool tagged, const std::string& path, const Scope& scope, Value& model);
  void check_schema(Value& model, const std::string& path);
  std::string folder_for(const std::string& directory) const;

  // include.cpp
  void apply_include(Value& document, const Value& resets, const std::string& path, const Scope& scope);
  void include_entry(Value& entry, const Path& at, Value& document, const Value& resets, const Scope& scope);
  void import(Value&& imported, Value& document, const Value& resets);

  // extends.cpp
  void apply_extends(Value& document, const Value& resets, const std::string& path, const Scope& scope);
  bool extend_service(const std::string& name, const Level& level, const Chain* chain);
  const Value* extended_base(Value& extends, const std::string& name, const Path& at, const Level& level,
                             const Chain& link);
  bool closes_cycle(const Chain& link, Value& extends, const Path& at);
  std::shared_ptr<Base> open_base(const std::string& name, Value& file, const Path& at, const Scope& scope);

  Session& session_;
  std::string root_directory_;
  std::map<std::string, ReadFile> provided_;
  std::map<std::string, std::shared_ptr<Base>> bases_;  // by scope and file
};

}  // namespace compose::load

#pragma once
// The `build` section of a service (Compose Specification, build.md) and its `develop.watch`.
#include "compose/model/values.hpp"

namespace compose::model {

struct Build {
  std::string context;            ///< absolute path or URL
  std::string dockerfile;         ///< relative to the context, "Dockerfile" by default; "" when inline
  std::string dockerfile_inline;  ///< the text itself
  Strings entitlements;
  Environment args;  ///< without a value: taken from the shell at load, so only ever missing there
  StringMap ssh;     ///< id -> path; {"default", ""} is the agent
  StringMap labels;
  Strings cache_from;
  Strings cache_to;
  bool no_cache = false;
  Strings no_cache_filter;
  StringMap additional_contexts;  ///< name -> path, URL or "service:NAME"
  std::string network;
  std::string provenance;
  std::string sbom;
  bool pull = false;
  std::string target;
  std::optional<std::int64_t> shm_size;        ///< bytes
  std::map<std::string, Strings> extra_hosts;  ///< host -> addresses
  std::string isolation;
  bool privileged = false;
  std::vector<FileReference> secrets;
  Strings tags;
  std::map<std::string, Ulimit> ulimits;
  Strings platforms;
  bool operator==(const Build&) const = default;
};

}  // namespace compose::model

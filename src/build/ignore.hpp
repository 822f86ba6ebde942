#pragma once
// .dockerignore: https://docs.docker.com/build/concepts/context/#dockerignore-files. Patterns are those of Go's
// filepath.Match with "**" for any number of directories; a "!" takes back; the last pattern that matches decides. A
// pattern that matches a directory covers everything in it.
#include <string>
#include <string_view>
#include <vector>

namespace compose::build {

class IgnoreRules {
 public:
  IgnoreRules() = default;
  explicit IgnoreRules(std::string_view text);
  /// From patterns, as COPY --exclude has them.
  explicit IgnoreRules(const std::vector<std::string>& patterns);

  /// `path` relative to the context, without leading or trailing "/".
  bool ignored(const std::string& path) const;
  /// May something below this ignored directory be taken back by a "!" pattern?
  bool may_contain_exceptions(const std::string& directory) const;
  bool empty() const { return rules_.empty(); }

 private:
  struct Rule {
    std::vector<std::string> parts;
    bool exception = false;
  };
  void add(std::string_view line);
  std::vector<Rule> rules_;
};

/// Go's filepath.Match for one path component or a whole path without "**": * ? [a-z] \x; "*" does not match "/".
bool path_matches(std::string_view pattern, std::string_view path);
bool has_wildcard(std::string_view pattern);

}  // namespace compose::build

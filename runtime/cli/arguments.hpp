#pragma once
// A command line of runc's shape: options before and after the command, "--name value", "--name=value", "-n value".
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace compose::runtime::cli {

struct OptionSpec {
  std::string_view name;  ///< long name without dashes
  char letter = 0;        ///< short name, 0: none
  bool takes_value = false;
};

/// Parsed words. An option given several times keeps all its values in order.
class Arguments {
 public:
  /// Options are read up to the first other word, or anywhere with `interspersed`; "--" ends them. Unknown options are
  /// Errc::invalid.
  static Result<Arguments> parse(std::span<const std::string> words, std::span<const OptionSpec> known,
                                 bool interspersed);

  bool has(std::string_view name) const { return values_.contains(name); }
  /// The last value, or `fallback`.
  std::string get(std::string_view name, const std::string& fallback = "") const;
  std::vector<std::string> all(std::string_view name) const;
  /// "--flag", "--flag=false"
  bool flag(std::string_view name) const;
  const std::vector<std::string>& words() const { return words_; }

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
  std::vector<std::string> words_;
};

}  // namespace compose::runtime::cli

#pragma once
// --chmod of COPY and ADD: an octal mode ("0644"), or changes in the words of chmod(1) ("u=rwX,go=rX", "a+x").
#include <sys/stat.h>

#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace compose::build {

class ModeChange {
 public:
  /// Errc::invalid names the text and what it should be.
  static Result<ModeChange> parse(std::string_view text);
  /// The permission bits (07777) a file with `mode` gets.
  mode_t apply(mode_t mode, bool is_directory) const;
  /// The same for equal changes: part of a step's key.
  const std::string& text() const { return text_; }

 private:
  struct Clause {
    mode_t who = 0;  ///< 0700, 0070, 0007 or several of them
    char operation = '=';
    mode_t bits = 0;              ///< of r, w, x in all three places; 01000 for t, 06000 for s
    bool execute_if_any = false;  ///< X: x for directories and files that somebody may execute
    char copy_from = '\0';        ///< u, g or o: that one's bits
  };
  static Result<std::vector<Clause>> parse_clause(std::string_view text);
  std::string text_;
  bool octal_ = false;
  mode_t mode_ = 0;
  std::vector<Clause> clauses_;
};

}  // namespace compose::build

#pragma once
// What is wrong with the user's files: every problem of a load with its place, the path in the model, what to do.
#include <string>
#include <vector>

#include "compose/load/path.hpp"
#include "compose/load/sources.hpp"

namespace compose::load {

enum class Severity { error, warning };

/// A second place that belongs to a problem.
struct Note {
  Place place;
  std::string message;
};

struct Diagnostic {
  Severity severity = Severity::error;
  Place place;
  std::string path;     ///< in the model: "services.web.ports[0]"; "" for the whole file
  std::string message;  ///< lower case, names the thing in quotes
  std::string hint;     ///< what to write instead, "" when nobody knows
  std::vector<Note> notes;
};

class Diagnostics {
 public:
  /// The references hold until the next call. The same problem at the same place is kept once.
  Diagnostic& error(Place place, std::string path, std::string message, std::string hint = {});
  Diagnostic& warning(Place place, std::string path, std::string message, std::string hint = {});

  const std::vector<Diagnostic>& all() const { return all_; }
  std::size_t errors() const { return errors_; }
  bool ok() const { return errors_ == 0; }
  /// Puts them in the order of the sources and lines.
  void sort();

 private:
  Diagnostic& add(Diagnostic diagnostic);

  std::vector<Diagnostic> all_;
  std::size_t errors_ = 0;
  Diagnostic spare_;
};

/// As a compiler shows it: "compose.yaml:3:7: error: ...", the line, a caret, notes and the hint.
std::string render_text(const Diagnostics& diagnostics, const Sources& sources);
/// {"diagnostics": [{severity, file, line, column, path, message, hint, notes}]}
std::string render_json(const Diagnostics& diagnostics, const Sources& sources);
/// SARIF 2.1.0 (OASIS), for editors and code scanners.
std::string render_sarif(const Diagnostics& diagnostics, const Sources& sources);

}  // namespace compose::load

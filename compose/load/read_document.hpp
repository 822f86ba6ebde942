#pragma once
// Stage: reading. A file's text, its documents as trees, its mistakes as diagnostics.
#include <optional>

#include "compose/load/session.hpp"

namespace compose::load {

struct ReadDocument {
  Value root;
  bool tagged = false;  ///< has !reset or !override
};

struct ReadFile {
  std::uint32_t source = 0;
  std::vector<ReadDocument> documents;
};

/// Reads `path` (absolute, or "-"). `asked` is the place that names the file, for the message when it cannot be read.
/// Nothing when it cannot; syntax errors are reported and leave documents out.
std::optional<ReadFile> read_documents(const std::string& path, const Place& asked, const std::string& asked_path,
                                       Session& session);

/// The documents of a text that is among the sources already.
ReadFile parse_source(std::uint32_t source, Session& session);

/// Reads the text of a file of another kind (an env file) into the sources; its number, or nothing when it cannot be
/// read (reported).
std::optional<std::uint32_t> read_text(const std::string& path, const Place& asked, const std::string& asked_path,
                                       Session& session);

/// The path as people should see it: relative to the working directory where that is shorter.
std::string display_name(const std::string& path, const Session& session);

}  // namespace compose::load

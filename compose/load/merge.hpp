#pragma once
// Stage: merge. One document over another, attribute by attribute (Compose Specification, 13-merge).
#include "compose/load/session.hpp"

namespace compose::load {

/// Merges `over` into `base`; both are whole documents.
void merge_documents(Value& base, Value&& over, Session& session);

/// Merges a section entry: `path` is that of both ("services.web").
void merge_at(Value& base, Value&& over, const Path& path, Session& session);

/// Merges a service over the one it extends.
void merge_service(Value& base, Value&& over, const Path& path, Session& session);

/// Lists whose items have a key (a port, a mount target, a variable) keep one item for each: the later one, at the
/// place of the earlier.
void keep_unique(Value& document, Session& session);

/// Takes the values marked !reset out of `document`. Returned is the skeleton of it that leads to every value marked
/// !reset or !override, to be applied to what the document is merged over.
Value take_resets(Value& document);

/// Removes from `base` what the skeleton marks. Paths are the same in both.
void apply_resets(Value& base, const Value& resets);

}  // namespace compose::load

#pragma once
// Stage: canonical form. Every short form becomes the long one: "80:80" a mapping, a list of names a mapping of them.
#include "compose/load/session.hpp"

namespace compose::load {

/// In place, on a whole document. Forms that are already long stay; wrong ones are reported, unless the document is
/// not interpolated, when a text may still become right.
void canonicalise(Value& document, Session& session);

/// Stage: defaults that every reader of the model relies on (protocol, target of secrets, ...).
void set_defaults(Value& document, Session& session);

}  // namespace compose::load

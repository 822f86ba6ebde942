#pragma once
// Host paths: joining and cleaning them as texts, and the stage that makes a document's relative ones absolute.
#include <string>
#include <string_view>

#include "compose/load/session.hpp"

namespace compose::load {

/// Go's path.Clean: no ".", "..", doubled or trailing slashes where they can be resolved; "" becomes ".".
std::string clean_path(std::string_view path);
/// `path` itself when absolute, else below `folder`; cleaned.
std::string join_path(std::string_view folder, std::string_view path);
/// The folder of a path: "/a/b" -> "/a", "b" -> ".".
std::string parent_path(std::string_view path);
std::string base_name(std::string_view path);
/// `target` as seen from `base`, both absolute: "../x".
std::string relative_path(std::string_view base, std::string_view target);
/// "~" and "~/x" with the home directory of `environment`.
std::string expand_home(std::string_view path, const Environment& environment);

/// Stage: makes the relative host paths of a document absolute, or relative to where `folder` is relative to.
void resolve_paths(Value& document, const std::string& folder, const Environment& environment, Session& session);

}  // namespace compose::load

#pragma once
// What a build takes from the network: files by HTTP, and git repositories by the git program of the host.
#include <optional>
#include <string>

#include "base/error.hpp"
#include "http/client.hpp"
#include "image/store_internal.hpp"

namespace compose::build {

/// The path of one of the host's programs, by PATH. Errc::not_found says that it is needed.
Result<std::string> find_program(const std::string& name);

/// A repository as contexts and ADD name it: URL#ref:folder (https://docs.docker.com/build/concepts/context/).
struct GitSource {
  std::string url;
  std::string ref;     ///< branch, tag or commit; "" is the remote's HEAD
  std::string folder;  ///< below the repository's root, "" for all of it
  bool operator==(const GitSource&) const = default;
};
/// Nothing when the address is not one of git's: git://, ssh://, git@host:path, http(s):// with a path that ends in
/// ".git", and for contexts ("github.com/…" without a scheme) GitHub.
std::optional<GitSource> parse_git(const std::string& address);

/// Clones into `target`, which is made: one commit deep if the server allows, submodules too. Returns the commit.
/// Errors: not_found without a git program; failed with what git said; invalid for a folder that leaves the tree.
Result<std::string> clone_git(const GitSource& source, const std::string& target, bool keep_git_dir);

struct Download {
  std::string name;    ///< last part of the URL's path, "" when there is none
  std::string digest;  ///< "sha256:…"
};
/// Fetches to the file `target` (mode 0600, Last-Modified as its time). Errors name the URL and what was answered.
Result<Download> download(http::Client& client, const std::string& url, const std::string& target);

/// The name of the file a URL gives, before anything is fetched.
std::string url_file_name(const std::string& url);

/// A build context that came from elsewhere, in a workspace.
struct FetchedContext {
  image::Workspace space;
  std::string folder;      ///< of the context
  std::string dockerfile;  ///< the text, when the URL was one of a Dockerfile
};
/// Git, an archive (tar, plain or compressed) or a lone Dockerfile.
Result<FetchedContext> fetch_context(http::Client& client, const std::string& address, image::Workspace space);

}  // namespace compose::build

#pragma once
// COPY and ADD: choosing files, the digest that keys the step, writing them into a layer.
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "build/content_hashes.hpp"
#include "build/file_mode.hpp"
#include "build/ignore.hpp"
#include "image/layer_writer.hpp"
#include "image/merged_view.hpp"

namespace compose::build {

/// Where files come from: the build context, another folder, a stage or an image. Links are followed inside it only.
struct SourceTree {
  image::MergedView view;
  IgnoreRules ignore;
  bool from_host = false;           ///< files then belong to 0:0 in the image, whoever owns them here
  ContentHashes* hashes = nullptr;  ///< remembers the files' digests; may be null
  std::string identity;             ///< what keys its content without reading it (a chain id); "" = read the files
};

struct CopyOptions {
  std::vector<std::string> sources;  ///< patterns, relative to the tree
  std::string destination;           ///< absolute; a "/" at the end says it is a directory
  std::optional<uid_t> uid;          ///< of --chown
  std::optional<gid_t> gid;
  std::optional<ModeChange> mode;    ///< of --chmod
  std::vector<std::string> exclude;  ///< of --exclude
  bool parents = false;              ///< keep the sources' folders below the destination
  bool unpack = false;               ///< ADD: tars are unpacked
  bool link = false;                 ///< links at the destination are replaced, not followed
};

/// One file, link or folder to be written.
struct CopyItem {
  std::string target;  ///< relative to the destination; "" is the destination itself
  image::ViewEntry entry;
  bool is_archive = false;  ///< to be unpacked into the target's place
};

struct CopyPlan {
  std::vector<CopyItem> items;
  bool into_directory = false;  ///< the targets lie in the destination, which is (or becomes) a directory
};

/// Chooses files. Patterns are those of .dockerignore, "**" for any number of folders; one that matches nothing is no
/// error, a name that is not there is Errc::not_found.
Result<CopyPlan> plan_copy(const SourceTree& tree, const CopyOptions& options);

/// A digest of everything that determines the written files but the destination's own tree: names, modes, owners,
/// contents, link targets, capabilities; not times.
Result<std::string> copy_digest(const SourceTree& tree, const CopyOptions& options, const CopyPlan& plan);

/// Writes the files. Directories that have to be made get `time`.
Result<void> write_copy(const SourceTree& tree, const CopyOptions& options, const CopyPlan& plan,
                        image::LayerWriter& writer, timespec time);

/// Makes a directory and its parents where they do not exist; those that do keep everything. Without `through_links`
/// a link or file in the way is replaced.
Result<void> ensure_directory(image::LayerWriter& writer, const std::string& path,
                              const image::FileAttributes& attributes, bool through_links = true);

/// "user", "user:group", "1000", "1000:50" against the tree's own /etc/passwd and /etc/group. A number without group
/// is its own group, a name without group has the group passwd says.
struct Owner {
  uid_t uid = 0;
  gid_t gid = 0;
};
Result<Owner> resolve_owner(const image::MergedView& view, const std::string& text);

}  // namespace compose::build

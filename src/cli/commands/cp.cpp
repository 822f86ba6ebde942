// compose cp and compose export: files of containers, to and from the host.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>

#include "cli/commands/all.hpp"
#include "cli/container_files.hpp"
#include "cli/context.hpp"
#include "cli/file_copy.hpp"

namespace compose::cli {
namespace {

struct Options {
  bool all = false;
  bool archive = false;
  bool follow_link = false;
  int index = 0;
};

/// "SERVICE:PATH", or a path of the host (also "./a:b" and "/a:b").
struct Side {
  std::string service;
  std::string path;
};

Side parse_side(const std::string& text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos || colon == 0 || text[0] == '/' || text[0] == '.') return {{}, text};
  return {text.substr(0, colon), text.substr(colon + 1)};
}

bool is_folder(int fd) {
  struct stat info{};
  return ::fstat(fd, &info) == 0 && S_ISDIR(info.st_mode);
}

/// One end of a copy: a folder (the host's or the container's root) in which paths are looked up.
class Tree {
 public:
  static Tree host() { return Tree{nullptr}; }
  static Tree of(const ContainerRoot& root) { return Tree{&root}; }

  Result<UniqueFd> open(const std::string& path, int flags) const {
    if (root_ != nullptr) return root_->open_path(path, flags);
    UniqueFd fd{::open(path.c_str(), flags | O_CLOEXEC)};
    if (!fd.valid()) return os_error("{}", path);
    return fd;
  }
  Result<UniqueFd> parent(const std::string& path, std::string& name) const {
    if (root_ != nullptr) return root_->open_parent(path, name);
    std::string whole = path;
    while (whole.size() > 1 && whole.back() == '/') whole.pop_back();
    const std::size_t slash = whole.rfind('/');
    name = whole.substr(slash == std::string::npos ? 0 : slash + 1);
    return open(slash == std::string::npos ? "." : slash == 0 ? "/" : whole.substr(0, slash), O_RDONLY | O_DIRECTORY);
  }

 private:
  explicit Tree(const ContainerRoot* root) : root_{root} {}
  const ContainerRoot* root_;
};

/// What to read: `name` in `folder`; "." for the content of a folder.
struct Source {
  UniqueFd folder;
  std::string name;
  bool is_directory = false;
  bool content_only = false;  ///< written as "folder/."
};

/// What a path leads to when its last part is a symbolic link, as a path of the same tree.
Result<std::string> follow_links(const Tree& tree, std::string path) {
  constexpr int kMost = 40;  // as the kernel, path_resolution(7)
  for (int i = 0; i < kMost; ++i) {
    std::string name;
    TRY_ASSIGN(const UniqueFd folder, tree.parent(path, name));
    char target[PATH_MAX];
    const ssize_t size = ::readlinkat(folder.get(), name.c_str(), target, sizeof target);
    if (size <= 0) return path;
    const std::string text(target, static_cast<std::size_t>(size));
    const std::size_t slash = path.rfind('/');
    path = text[0] == '/' || slash == std::string::npos ? text : path.substr(0, slash + 1) + text;
  }
  return make_error(Errc::invalid, "{}: too many symbolic links", path);
}

Result<Source> find_source(const Tree& tree, const std::string& path, bool follow) {
  Source source;
  source.content_only = path == "." || path.ends_with("/.");
  TRY_ASSIGN(const UniqueFd itself, tree.open(path, O_PATH | (follow || path.ends_with('/') ? 0 : O_NOFOLLOW)));
  source.is_directory = is_folder(itself.get());
  if (source.content_only || path == "/") {
    TRY_ASSIGN(source.folder, tree.open(path, O_RDONLY | O_DIRECTORY));
    source.name = ".";
    return source;
  }
  if (follow) {  // the link's target under its own name
    TRY_ASSIGN(const std::string target, follow_links(tree, path));
    TRY_ASSIGN(source.folder, tree.parent(target, source.name));
    return source;
  }
  TRY_ASSIGN(source.folder, tree.parent(path, source.name));
  return source;
}

std::string last_name(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path.substr(path.rfind('/') + 1);
}

/// The rules of `docker cp`: into a folder that exists, or to a new name.
Result<void> copy_to(const Source& source, const std::string& source_path, const Tree& tree, const std::string& path,
                     const CopyOwner& owner) {
  const auto existing = tree.open(path, O_PATH);
  if (existing && is_folder(existing->get())) {
    TRY_ASSIGN(const UniqueFd folder, tree.open(path, O_RDONLY | O_DIRECTORY));
    return copy_tree(source.folder.get(), source.name, folder.get(),
                     source.content_only || source.name == "." ? "." : last_name(source_path), owner);
  }
  if (existing && source.is_directory) return make_error(Errc::invalid, "cannot copy a folder onto the file {}", path);
  if (!existing && path.ends_with('/') && !source.is_directory)
    return make_error(Errc::not_found, "the folder {} does not exist", path);
  std::string name;
  TRY_ASSIGN(const UniqueFd folder, tree.parent(path, name));
  if (source.name == ".") {
    if (::mkdirat(folder.get(), name.c_str(), 0755) != 0 && errno != EEXIST) return os_error("making {}", path);
    TRY_ASSIGN(const UniqueFd made, tree.open(path, O_RDONLY | O_DIRECTORY));
    return copy_tree(source.folder.get(), ".", made.get(), ".", owner);
  }
  return copy_tree(source.folder.get(), source.name, folder.get(), name, owner);
}

Result<int> copy_out(Context& context, const Options& options, const ProjectScope& scope, const Side& from,
                     const std::string& to) {
  TRY_ASSIGN(const auto container, context.container(scope, from.service, options.index, true));
  TRY_ASSIGN(const UniqueFd here, Tree::host().open(".", O_PATH | O_DIRECTORY));
  TRY_ASSIGN(const auto root, ContainerRoot::open(context, container, ContainerRoot::Access::read));
  if (::fchdir(here.get()) != 0) return os_error("returning to the current folder");
  TRY_ASSIGN(const Source source,
             find_source(Tree::of(root), from.path, options.follow_link).with("{}", container.name));
  if (to == "-") {
    const std::string name = source.name == "." ? "." : last_name(from.path);
    TRY(write_tar(source.folder.get(), source.name, name, STDOUT_FILENO, root.ids()));
    return 0;
  }
  CopyOwner owner = options.archive ? CopyOwner{} : CopyOwner{::geteuid(), ::getegid()};
  owner.source = root.ids();
  ProgressEvent event{
      .kind = "Container", .name = container.name, .text = "Copying", .details = from.path + " to " + to};
  context.progress().event(event);
  if (!context.options().dry_run) TRY(copy_to(source, from.path, Tree::host(), to, owner));
  event.text = "Copied";
  event.status = ProgressEvent::Status::done;
  context.progress().event(event);
  return 0;
}

Result<int> copy_in(Context& context, const Options& options, const ProjectScope& scope, const std::string& from,
                    const Side& to) {
  TRY_ASSIGN(auto containers, context.containers(scope, {.services = {to.service}, .one_off = options.all}));
  if (options.index != 0) std::erase_if(containers, [&](const auto& one) { return one.number != options.index; });
  if (containers.empty()) return make_error(Errc::not_found, "no container found for service \"{}\"", to.service);
  if (from == "-" && containers.size() > 1)
    return make_error(Errc::invalid, "standard input can go to one container only: choose it with --index");
  CopyOwner owner = options.archive ? CopyOwner{} : CopyOwner{0, 0};
  for (const auto& container : containers) {
    TRY_ASSIGN(const auto root, ContainerRoot::open(context, container, ContainerRoot::Access::write));
    owner.target = root.ids();
    TRY_ASSIGN(const auto acting, ActingAsContainer::begin(root.ids()));
    const Tree inside = Tree::of(root);
    ProgressEvent event{
        .kind = "Container", .name = container.name, .text = "Copying", .details = from + " to " + to.path};
    context.progress().event(event);
    if (context.options().dry_run) {
      // Both ends have been found; nothing is written.
    } else if (from == "-") {
      TRY_ASSIGN(const UniqueFd folder, inside.open(to.path, O_RDONLY | O_DIRECTORY));
      TRY(read_tar(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3), folder.get(), owner));
    } else {
      TRY_ASSIGN(const Source source, find_source(Tree::host(), from, options.follow_link));
      TRY(copy_to(source, from, inside, to.path, owner).with("{}", container.name));
    }
    event.text = "Copied";
    event.status = ProgressEvent::Status::done;
    context.progress().event(event);
  }
  return 0;
}

Result<int> copy(Context& context, const Options& options, const Strings& arguments) {
  const Side from = parse_side(arguments[0]);
  const Side to = parse_side(arguments[1]);
  if (from.service.empty() == to.service.empty())
    return Error{Errc::invalid, from.service.empty() ? "one of the two must be SERVICE:PATH"
                                                     : "copying between containers is not supported"};
  TRY_ASSIGN(const ProjectScope scope, context.scope({.name_is_enough = true}));
  return from.service.empty() ? copy_in(context, options, scope, from.path, to)
                              : copy_out(context, options, scope, from, to.path);
}

Result<int> export_files(Context& context, int index, const std::string& output, const std::string& service) {
  if (output.empty() && is_terminal(STDOUT_FILENO))
    return make_error(Errc::invalid, "an archive is not written to a terminal: use -o FILE or redirect");
  TRY_ASSIGN(const ProjectScope scope, context.scope({.name_is_enough = true}));
  TRY_ASSIGN(const auto container, context.container(scope, service, index, true));
  UniqueFd file;
  if (!output.empty()) {
    file = UniqueFd{::open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)};
    if (!file.valid()) return os_error("writing {}", output);
  }
  TRY_ASSIGN(const auto root, ContainerRoot::open_layers(context, container));
  TRY(write_tar(root.fd(), ".", ".", file.valid() ? file.get() : STDOUT_FILENO));
  return 0;
}

}  // namespace

Command cp_command() {
  auto options = std::make_shared<Options>();
  Options& o = *options;
  Command command{.name = "cp",
                  .usage = "[OPTIONS] SERVICE:SRC_PATH DEST_PATH|-  or  SRC_PATH|- SERVICE:DEST_PATH",
                  .summary = "Copy files between a container and the host"};
  command.details =
      "\"-\" writes or reads a tar archive. Files copied into all containers of a service unless --index is given.";
  command.flags = {{"all", 0, &o.all, "Also containers made by run"},
                   {"archive", 'a', &o.archive, "Keep owners"},
                   {"follow-link", 'L', &o.follow_link, "Copy what a link points to"},
                   {"index", 0, &o.index, "Container number N of the service"}};
  command.min_args = command.max_args = 2;
  command.complete = Complete::service_then_files;
  command.run = [options](Context& context, const Strings& arguments) { return copy(context, *options, arguments); };
  return command;
}

Command export_command() {
  struct ExportOptions {
    int index = 0;
    std::string output;
  };
  auto options = std::make_shared<ExportOptions>();
  Command command{
      .name = "export", .usage = "[OPTIONS] SERVICE", .summary = "Write a container's files as a tar archive"};
  command.flags = {{"index", 0, &options->index, "Container number N of the service"},
                   {"output", 'o', &options->output, "File to write instead of standard output", "FILE"}};
  command.min_args = command.max_args = 1;
  command.complete = Complete::services;
  command.run = [options](Context& context, const Strings& services) {
    return export_files(context, options->index, options->output, services[0]);
  };
  return command;
}

}  // namespace compose::cli

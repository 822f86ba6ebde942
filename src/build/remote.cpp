#include "build/remote.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>

#include "base/sha256.hpp"
#include "base/strings.hpp"
#include "image/byte_stream.hpp"
#include "image/layer_tar.hpp"
#include "image/layer_writer.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

namespace compose::build {

Result<std::string> find_program(const std::string& name) {
  const char* path = ::getenv("PATH");
  for (const std::string& folder : split(path == nullptr ? "/usr/bin:/bin" : path, ':')) {
    const std::string candidate = (folder.empty() ? "." : folder) + "/" + name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return make_error(Errc::not_found, "the program \"{}\" is needed for this and is not installed", name);
}

namespace {

constexpr std::size_t kBuffer = std::size_t{256} << 10;
constexpr std::size_t kMaxDockerfile = std::size_t{1} << 20;
constexpr std::size_t kMaxOutput = std::size_t{64} << 10;

bool is_http(const std::string& address) { return address.starts_with("http://") || address.starts_with("https://"); }

std::vector<std::string> git_environment() {
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    // Nothing of a repository this process may have been started in.
    if (!std::string_view{*entry}.starts_with("GIT_")) environment.emplace_back(*entry);
  }
  environment.emplace_back("GIT_TERMINAL_PROMPT=0");
  environment.emplace_back("GIT_CONFIG_NOSYSTEM=1");
  return environment;
}

class Git {
 public:
  static Result<Git> open(std::string folder) {
    TRY_ASSIGN(std::string program, find_program("git"));
    return Git{std::move(program), std::move(folder)};
  }

  /// Runs it in the folder; returns what it wrote.
  Result<std::string> run(std::vector<std::string> arguments) const {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return os_error("pipe");
    const UniqueFd reading{ends[0]};
    UniqueFd writing{ends[1]};
    const UniqueFd null{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    sys::SpawnOptions options;
    options.program = program_;
    options.arguments = {"git",
                         "-c",
                         "advice.detachedHead=false",
                         "-c",
                         "init.defaultBranch=main",
                         "-c",
                         "protocol.ext.allow=never",
                         "-c",
                         "protocol.file.allow=never",
                         "-C",
                         folder_};
    options.arguments.insert(options.arguments.end(), arguments.begin(), arguments.end());
    options.environment = git_environment();
    options.fds = {{null.get(), 0}, {writing.get(), 1}, {writing.get(), 2}};
    TRY_ASSIGN(const sys::Child child, sys::spawn(options));
    writing.reset();
    const Result<std::string> said = sys::read_all(reading.get(), kMaxOutput);
    TRY_ASSIGN(const sys::ExitStatus status, sys::wait_child(child.pid));
    if (!said) return said.error();
    if (status.code != 0)
      return make_error(Errc::failed, "git {}: {}", arguments.front(),
                        said->empty() ? fmt::format("exit code {}", status.code) : std::string{trim(*said)});
    return std::string{trim(*said)};
  }

 private:
  Git(std::string program, std::string folder) : program_{std::move(program)}, folder_{std::move(folder)} {}
  std::string program_;
  std::string folder_;
};

bool is_commit(const std::string& ref) {
  return ref.size() == 40 && std::all_of(ref.begin(), ref.end(), [](unsigned char c) { return std::isxdigit(c); });
}

/// The wanted commit into FETCH_HEAD: alone if the server gives it like that, with all the history otherwise.
Result<void> fetch_ref(const Git& git, const GitSource& source) {
  const std::string ref = source.ref.empty() ? "HEAD" : source.ref;
  if (git.run({"fetch", "-q", "--depth=1", "--no-tags", "--", source.url, ref})) return {};
  if (!is_commit(ref)) {
    TRY(git.run({"fetch", "-q", "--no-tags", "--", source.url, ref}));
    return {};
  }
  TRY(git.run({"fetch", "-q", "--tags", "--", source.url, "+refs/heads/*:refs/remotes/origin/*"}));
  TRY(git.run({"update-ref", "FETCH_HEAD", ref}));
  return {};
}

Result<std::string> checked_folder(const std::string& root, const std::string& folder) {
  const image::MergedView view{{root}};
  TRY_ASSIGN(const auto entry, view.resolve(folder));
  if (!entry || !S_ISDIR(entry->status.st_mode))
    return make_error(Errc::not_found, "the repository has no folder \"{}\"", folder);
  return entry->host;
}

/// RFC 9110, 5.6.7: "Sun, 06 Nov 1994 08:49:37 GMT".
std::optional<std::time_t> http_date(const std::string& text) {
  std::tm parts{};
  const char* end = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return ::timegm(&parts);
}

Result<std::string> save_body(http::Response& response, const std::string& target) {
  const UniqueFd file{::open(target.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
  if (!file.valid()) return os_error("open \"{}\"", target);
  std::vector<char> buffer(kBuffer);
  Sha256 hash;
  while (true) {
    TRY_ASSIGN(const std::size_t got, response.read(buffer.data(), buffer.size()));
    if (got == 0) return "sha256:" + hash.finish_hex();
    hash.update(buffer.data(), got);
    TRY(sys::write_all(file.get(), {buffer.data(), got}));
  }
}

Result<bool> is_archive(const std::string& path) {
  UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!fd.valid()) return os_error("open \"{}\"", path);
  char first[512] = {};
  const ssize_t got = ::read(fd.get(), first, sizeof first);
  if (got < 0) return os_error("read \"{}\"", path);
  const std::string_view bytes{first, static_cast<std::size_t>(got)};
  return image::detect_compression(bytes) != image::Compression::none ||
         (bytes.size() == sizeof first && bytes.substr(257, 5) == "ustar");
}

Result<std::string> unpack_context(const std::string& archive, const std::string& folder) {
  UniqueFd fd{::open(archive.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!fd.valid()) return os_error("open \"{}\"", archive);
  TRY_ASSIGN(const image::ByteReaderPtr plain, image::decompress(image::read_fd(std::move(fd))));
  TRY_ASSIGN(image::LayerWriter writer, image::LayerWriter::create(folder, image::MergedView{}));
  TRY_ASSIGN(const image::UnpackLimits limits, image::limits_for(writer.tree()));
  TRY(image::unpack_archive_into(*plain, writer, "", {}, limits));
  return writer.tree();
}

}  // namespace

std::optional<GitSource> parse_git(const std::string& address) {
  const std::size_t hash = address.find('#');
  GitSource source{address.substr(0, hash), "", ""};
  if (hash != std::string::npos) {
    const std::string fragment = address.substr(hash + 1);
    const std::size_t colon = fragment.find(':');
    source.ref = fragment.substr(0, colon);
    if (colon != std::string::npos) source.folder = fragment.substr(colon + 1);
  }
  // What git would take for an option of its own.
  if (source.ref.starts_with('-')) return std::nullopt;
  if (source.url.starts_with("github.com/")) {
    source.url = "https://" + source.url;
    return source;
  }
  const bool own_scheme = source.url.starts_with("git://") || source.url.starts_with("ssh://") ||
                          (source.url.starts_with("git@") && source.url.find(':') != std::string::npos);
  if (own_scheme || (is_http(source.url) && source.url.ends_with(".git"))) return source;
  return std::nullopt;
}

Result<std::string> clone_git(const GitSource& source, const std::string& target, bool keep_git_dir) {
  TRY(sys::make_directories(target, 0755));
  TRY_ASSIGN(const Git git, Git::open(target));
  const auto clone = [&]() -> Result<std::string> {
    TRY(git.run({"init", "-q"}));
    TRY(git.run({"remote", "add", "--", "origin", source.url}));
    TRY(fetch_ref(git, source));
    TRY(git.run({"checkout", "-q", "FETCH_HEAD"}));
    TRY(git.run({"submodule", "-q", "update", "--init", "--recursive", "--depth=1"}));
    return git.run({"rev-parse", "HEAD"});
  };
  TRY_ASSIGN(std::string commit, clone().with("\"{}\"", source.url));
  if (!keep_git_dir) TRY(sys::remove_tree(target + "/.git"));
  return commit;
}

std::string url_file_name(const std::string& url) {
  const std::size_t scheme = url.find("://");
  const std::string rest = url.substr(scheme == std::string::npos ? 0 : scheme + 3);
  const std::string path = rest.substr(0, rest.find_first_of("?#"));
  const std::size_t slash = path.rfind('/');
  const std::string name = slash == std::string::npos ? "" : http::percent_decode(path.substr(slash + 1));
  const bool usable = name != "." && name != ".." && name.find('/') == std::string::npos &&
                      name.find('\0') == std::string::npos && name.size() < 256;
  return usable ? name : "";
}

Result<Download> download(http::Client& client, const std::string& url, const std::string& target) {
  TRY_ASSIGN(const http::Url address, http::parse_url(url));
  TRY_ASSIGN(http::Response response, http::get(client, address));
  if (response.status() != 200)
    return make_error(response.status() == 404 ? Errc::not_found : Errc::failed, "\"{}\": the server answered {}",
                      address.text(), response.status());
  Download result{url_file_name(url), ""};
  TRY_ASSIGN(result.digest, save_body(response, target).with("\"{}\"", address.text()));
  const std::optional<std::time_t> time = http_date(response.header("Last-Modified").value_or(""));
  const timespec times[2] = {{time.value_or(0), 0}, {time.value_or(0), 0}};
  if (time && ::utimensat(AT_FDCWD, target.c_str(), times, 0) != 0) return os_error("set the time of \"{}\"", target);
  return result;
}

Result<FetchedContext> fetch_context(http::Client& client, const std::string& address, image::Workspace space) {
  FetchedContext result{std::move(space), "", ""};
  const std::string folder = result.space.path() + "/context";
  if (const std::optional<GitSource> git = parse_git(address)) {
    TRY(clone_git(*git, folder, false));
    TRY_ASSIGN(result.folder, checked_folder(folder, git->folder).with("\"{}\"", address));
    return result;
  }
  if (!is_http(address)) return make_error(Errc::invalid, "\"{}\" is no address of a build context", address);
  const std::string file = result.space.path() + "/download";
  TRY(download(client, address, file));
  TRY_ASSIGN(const bool archive, is_archive(file));
  if (archive) {
    TRY_ASSIGN(result.folder, unpack_context(file, folder).with("\"{}\"", address));
    return result;
  }
  TRY_ASSIGN(result.dockerfile, sys::read_file(file, kMaxDockerfile).with("\"{}\"", address));
  TRY(sys::make_directories(folder, 0755));
  result.folder = folder;
  return result;
}

}  // namespace compose::build

// The whole loader: the input is two files, cut at the first line "#---": the project and its override. What loads
// must survive the way through JSON, and what `config` prints must load again.
#include <cstdint>
#include <cstdlib>

#include "compose/load/config_command.hpp"
#include "compose/load/fake_files.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace compose::load;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto cut = text.find("#---\n");
  FakeFiles files{{"/p/compose.yaml", text.substr(0, cut)}, {"/p/.env", "A=1\nE=\n"}, {"/p/a.env", "B=2\n"}};
  Options options;
  options.working_dir = "/p";
  options.files = {"compose.yaml"};
  options.trace = true;
  if (cut != std::string::npos) {
    files.set("/p/o.yaml", text.substr(cut + 5));
    options.files.emplace_back("o.yaml");
  }
  const LoadResult loaded = load(options, files);
  loaded.report();
  if (!loaded.ok()) return 0;
  if (!loaded.project) std::abort();
  const auto back = compose::model::project_from_json(compose::model::project_to_json(*loaded.project));
  if (!back || !(*back == *loaded.project)) std::abort();
  explain(loaded, "", true);
  return 0;
}

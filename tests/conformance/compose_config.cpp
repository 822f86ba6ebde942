// compose-config: the `config` command alone, to judge the loader without the rest of the program.
//   compose-config [global flags] config [flags] [SERVICE...]
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>

#include "compose/load/config_command.hpp"
#include "compose/load/disk_files.hpp"

using namespace compose::load;

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  std::map<std::string, std::string> env;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    const auto equals = text.find('=');
    if (equals != std::string::npos) env[text.substr(0, equals)] = text.substr(equals + 1);
  }
  char folder[PATH_MAX];
  if (::getcwd(folder, sizeof folder) == nullptr) return 1;
  const auto request = parse_config_arguments(arguments, std::move(env), folder);
  if (!request) {
    std::cerr << request.error().message() << "\n";
    return 2;
  }
  DiskFiles files;
  const ConfigOutput out = run_config(*request, files);
  std::cerr << out.messages;
  if (!request->output.empty()) {
    std::ofstream(request->output) << out.text;
  } else {
    std::fwrite(out.text.data(), 1, out.text.size(), stdout);
  }
  // The trees need not be taken apart when the process ends anyway.
  std::fflush(stdout);
  std::cerr.flush();
  std::_Exit(out.exit_code);
}

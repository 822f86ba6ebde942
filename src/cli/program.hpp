#pragma once
// The program from its arguments to its exit code.

namespace compose::cli {

/// 0; 1 for any error, also of usage; 130 when a signal cancelled the command; the container's own code for run, exec,
/// wait and up --exit-code-from (the whole table stands in `compose help exit-codes`).
int run_program(int argc, char** argv);

}  // namespace compose::cli

#include "cli/program.hpp"

int main(int argc, char** argv) { return compose::cli::run_program(argc, argv); }

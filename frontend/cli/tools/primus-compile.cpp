//===- primus-compile.cpp - Compile an experiment ahead of time -----------===//

#include "frontend/cli/Compilation.h"

int main(int argc, char **argv) { return primus::cli::compileMain(argc, argv); }

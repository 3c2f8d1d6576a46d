//===- primus-bisect.cpp - Find the phase, pass and op that go wrong ------===//

#include "frontend/cli/BisectCommand.h"

int main(int argc, char **argv) { return primus::cli::bisectMain(argc, argv); }

//===- primus-checkpoint.cpp - Imports, exports and shows checkpoints -----===//

#include "frontend/cli/CheckpointCommand.h"

int main(int argc, char **argv) { return primus::cli::checkpointMain(argc, argv); }

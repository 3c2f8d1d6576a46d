//===- CheckpointCommand.h - primus-checkpoint --------------------*- C++ -*-===//

#pragma once

namespace primus::cli {

/// Entry of the tool; returns its exit code.
int checkpointMain(int argc, const char *const *argv);

} // namespace primus::cli

//===- TrainCommand.h - primus-train --------------------------------------===//

#ifndef PRIMUS_RUNTIME_TRAIN_TRAINCOMMAND_H
#define PRIMUS_RUNTIME_TRAIN_TRAINCOMMAND_H

namespace primus::runtime {

/// The command primus-train. Returns the exit code; never throws.
int runTrainCommand(int argc, const char *const *argv);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_TRAIN_TRAINCOMMAND_H

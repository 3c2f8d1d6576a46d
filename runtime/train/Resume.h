//===- Resume.h - What a run goes on from ---------------------------------===//

#ifndef PRIMUS_RUNTIME_TRAIN_RESUME_H
#define PRIMUS_RUNTIME_TRAIN_RESUME_H

#include "runtime/checkpoint/Checkpoint.h"
#include "runtime/executor/Executor.h"

namespace primus::runtime {

/// The state at the start of training from scratch. `trainingTokens` is the length of the training data, which a
/// checkpoint should agree on.
CheckpointState makeInitialState(const executable::Executable &executable, int64_t trainingTokens);

/// Loads the checkpoint that --resume or else the experiment asks for into the executor's variables, and counts in
/// `state` on from it; `state` comes as makeInitialState made it. `resume` is empty, "auto" or a path. Says in the log
/// what it does, with a warning for every setting that differs. A checkpoint of another model is an error that lists the
/// differences. With several ranks, each loads its own parts, whatever the layout of the ranks that saved them.
Error loadStart(Executor &executor, const std::string &resume, CheckpointState &state);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_TRAIN_RESUME_H

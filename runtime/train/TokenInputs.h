//===- TokenInputs.h - Where a program takes its batch --------------------===//

#ifndef PRIMUS_RUNTIME_TRAIN_TOKENINPUTS_H
#define PRIMUS_RUNTIME_TRAIN_TOKENINPUTS_H

#include "runtime/data/BatchSlice.h"
#include "runtime/executor/Executor.h"

namespace primus::runtime {

/// This rank's part of the inputs `tokens` and `labels` of a program.
struct TokenInputs {
  Tensor tokens, labels;
  BatchSlice batch;
};

/// Finds the inputs, of `rank` dimensions: 3 with microbatches, 2 without. Sequences have to be as long, and the batch as
/// large, as Executable.training says.
Expected<TokenInputs> findTokenInputs(const Executor &executor, int program, size_t rank);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_TRAIN_TOKENINPUTS_H

//===- Evaluator.h - The loss on held-out data ----------------------------===//

#ifndef PRIMUS_RUNTIME_TRAIN_EVALUATOR_H
#define PRIMUS_RUNTIME_TRAIN_EVALUATOR_H

#include "runtime/data/BatchSlice.h"
#include "runtime/executor/Executor.h"
#include "runtime/metrics/ByteModel.h"

namespace primus::runtime {

/// Runs the program `forward` over the first sequences of held-out data, the same ones each time and for each layout.
class Evaluator {
public:
  /// `samples` must outlive the evaluator.
  static Expected<Evaluator> create(Executor &executor, Samples &samples);

  /// The sum of the losses of all predicted tokens over their number. All ranks run it together.
  Expected<double> run();

  /// The loss of another model on exactly the same predictions.
  Expected<double> run(const ByteModel &model);

  int64_t getNumSequences() const { return numSequences; }

private:
  /// The sum of an output's elements.
  Expected<double> readSum(const Tensor &tensor) const;

  Evaluator(Executor &executor, Samples &samples) : executor(executor), samples(samples) {}

  Executor &executor;
  Samples &samples;
  int program = -1;
  int64_t numSequences = 0;
  BatchSlice batch;
  Tensor tokensInput, labelsInput, lossOutput, validOutput;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_TRAIN_EVALUATOR_H

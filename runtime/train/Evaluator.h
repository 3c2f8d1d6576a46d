//===- Evaluator.h - The loss on held-out data ----------------------------===//

#ifndef PRIMUS_RUNTIME_TRAIN_EVALUATOR_H
#define PRIMUS_RUNTIME_TRAIN_EVALUATOR_H

#include "runtime/data/DataSet.h"
#include "runtime/executor/Executor.h"
#include "runtime/metrics/ByteModel.h"

namespace primus::runtime {

/// Runs the program `forward` over the first batches of held-out data, the same ones each time.
class Evaluator {
public:
  /// `samples` must outlive the evaluator.
  static Expected<Evaluator> create(Executor &executor, Samples &samples);

  /// The sum of the losses of all predicted tokens over their number.
  Expected<double> run();

  /// The loss of another model on exactly the same predictions.
  Expected<double> run(const ByteModel &model);

private:
  Evaluator(Executor &executor, Samples &samples) : executor(executor), samples(samples) {}

  Error readBatch(int64_t batch);

  Executor &executor;
  Samples &samples;
  int program = -1;
  int64_t numBatches = 0;
  int64_t batchSize = 0;
  int64_t sequenceLength = 0;
  Tensor tokensInput, labelsInput, lossOutput, validOutput;
  std::vector<int32_t> tokens, labels;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_TRAIN_EVALUATOR_H

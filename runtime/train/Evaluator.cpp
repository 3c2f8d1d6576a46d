//===- Evaluator.cpp - The loss on held-out data --------------------------===//

#include "runtime/train/Evaluator.h"

using namespace primus;
using namespace primus::runtime;

Expected<Evaluator> Evaluator::create(Executor &executor, Samples &samples) {
  const executable::Training &training = executor.getExecutable().training();
  Evaluator evaluator(executor, samples);
  evaluator.numBatches = training.eval_steps();
  evaluator.batchSize = training.micro_batch_size();
  evaluator.sequenceLength = training.sequence_length();
  evaluator.program = executor.findProgram("forward");
  if (evaluator.program < 0)
    return Error::failure("the executable has no program 'forward', which evaluation needs");

  std::vector<int64_t> shape = {evaluator.batchSize, evaluator.sequenceLength};
  struct {
    Tensor &tensor;
    Expected<Tensor> found;
  } ports[] = {
      {evaluator.tokensInput, executor.findInput(evaluator.program, "tokens", executable::I32, shape)},
      {evaluator.labelsInput, executor.findInput(evaluator.program, "labels", executable::I32, shape)},
      {evaluator.lossOutput, executor.findOutput(evaluator.program, "loss_sum", executable::F32, {})},
      {evaluator.validOutput, executor.findOutput(evaluator.program, "valid_tokens", executable::F32, {})},
  };
  for (auto &port : ports) {
    if (!port.found)
      return port.found.takeError();
    port.tensor = *port.found;
  }
  evaluator.tokens.resize(static_cast<size_t>(evaluator.batchSize * evaluator.sequenceLength));
  evaluator.labels.resize(evaluator.tokens.size());
  return evaluator;
}

Error Evaluator::readBatch(int64_t batch) {
  auto length = static_cast<size_t>(sequenceLength);
  for (int64_t i = 0; i < batchSize; ++i) {
    size_t offset = static_cast<size_t>(i) * length;
    if (Error error = samples.read(batch * batchSize + i, std::span(tokens).subspan(offset, length),
                                   std::span(labels).subspan(offset, length)))
      return error;
  }
  return Error::success();
}

Expected<double> Evaluator::run() {
  double loss = 0, valid = 0;
  for (int64_t batch = 0; batch < numBatches; ++batch) {
    if (Error error = readBatch(batch))
      return error;
    executor.write(tokensInput, tokens.data());
    executor.write(labelsInput, labels.data());
    executor.run(program);
    loss += executor.readScalar(lossOutput);
    valid += executor.readScalar(validOutput);
  }
  return loss / valid;
}

Expected<double> Evaluator::run(const ByteModel &model) {
  double loss = 0;
  for (int64_t batch = 0; batch < numBatches; ++batch) {
    if (Error error = readBatch(batch))
      return error;
    for (size_t i = 0; i < tokens.size(); ++i)
      loss += model.getLoss(static_cast<uint8_t>(tokens[i]), static_cast<uint8_t>(labels[i]));
  }
  return loss / static_cast<double>(numBatches * batchSize * sequenceLength);
}

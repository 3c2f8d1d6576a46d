//===- Evaluator.cpp - The loss on held-out data --------------------------===//

#include "runtime/train/Evaluator.h"

#include "runtime/train/TokenInputs.h"

using namespace primus;
using namespace primus::runtime;

Expected<Evaluator> Evaluator::create(Executor &executor, Samples &samples) {
  const executable::Training &training = executor.getExecutable().training();
  Evaluator evaluator(executor, samples);
  evaluator.numSequences = training.eval_steps() * training.micro_batch_size();
  evaluator.program = executor.findProgram("forward");
  if (evaluator.program < 0)
    return Error::failure("the executable has no program 'forward', which evaluation needs");
  Expected<TokenInputs> inputs = findTokenInputs(executor, evaluator.program, 2);
  if (!inputs)
    return inputs.takeError();
  evaluator.tokensInput = inputs->tokens;
  evaluator.labelsInput = inputs->labels;
  evaluator.batch = std::move(inputs->batch);
  struct {
    Tensor &tensor;
    Expected<Tensor> found;
  } ports[] = {
      {evaluator.lossOutput, executor.findOutput(evaluator.program, "loss_sum", executable::F32, {})},
      {evaluator.validOutput, executor.findOutput(evaluator.program, "valid_tokens", executable::F32, {})},
  };
  for (auto &port : ports) {
    if (!port.found)
      return port.found.takeError();
    port.tensor = *port.found;
  }
  return evaluator;
}

Expected<double> Evaluator::run() {
  double loss = 0, valid = 0;
  for (int64_t first = 0; first < numSequences; first += batch.getNumSequences()) {
    if (Error error = batch.read(samples, first, numSequences))
      return error;
    if (Error error = executor.write(tokensInput, batch.getTokens().data()))
      return error;
    if (Error error = executor.write(labelsInput, batch.getLabels().data()))
      return error;
    if (Error error = executor.run(program))
      return error;
    Expected<float> batchLoss = executor.readScalar(lossOutput), batchValid = executor.readScalar(validOutput);
    if (!batchLoss)
      return batchLoss.takeError();
    if (!batchValid)
      return batchValid.takeError();
    loss += *batchLoss;
    valid += *batchValid;
  }
  return loss / valid;
}

Expected<double> Evaluator::run(const ByteModel &model) {
  auto length = static_cast<size_t>(executor.getExecutable().training().sequence_length());
  std::vector<int32_t> tokens(length), labels(length);
  double loss = 0;
  for (int64_t sample = 0; sample < numSequences; ++sample) {
    if (Error error = samples.read(sample, tokens, labels))
      return error;
    for (size_t i = 0; i < length; ++i)
      loss += model.getLoss(static_cast<uint8_t>(tokens[i]), static_cast<uint8_t>(labels[i]));
  }
  return loss / (static_cast<double>(numSequences) * static_cast<double>(length));
}

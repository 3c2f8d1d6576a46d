//===- Evaluator.cpp - The loss on held-out data --------------------------===//

#include "runtime/train/Evaluator.h"

#include "runtime/train/TokenInputs.h"

#include <numeric>

using namespace primus;
using namespace primus::runtime;

/// A scalar, or one value for each group of sequences.
static Expected<Tensor> findSums(const Executor &executor, int program, std::string_view name) {
  std::vector<int64_t> shape;
  for (const executable::Port &port : executor.getExecutable().programs(program).outputs())
    if (port.name() == name)
      shape.assign(port.type().shape().begin(), port.type().shape().end());
  return executor.findOutput(program, name, executable::F32, std::move(shape));
}

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
      {evaluator.lossOutput, findSums(executor, evaluator.program, "loss_sum")},
      {evaluator.validOutput, findSums(executor, evaluator.program, "valid_tokens")},
  };
  for (auto &port : ports) {
    if (!port.found)
      return port.found.takeError();
    port.tensor = *port.found;
  }
  return evaluator;
}

Expected<double> Evaluator::readSum(const Tensor &tensor) const {
  std::vector<float> values(size_t(tensor.bytes) / sizeof(float));
  if (Error error = executor.read(tensor, values.data()))
    return error;
  return std::accumulate(values.begin(), values.end(), 0.0);
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
    for (auto [sum, output] : {std::pair(&loss, &lossOutput), std::pair(&valid, &validOutput)}) {
      Expected<double> part = readSum(*output);
      if (!part)
        return part.takeError();
      *sum += *part;
    }
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

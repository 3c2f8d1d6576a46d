//===- Evaluation.h - Loss, logits and gradients of a checkpoint -*- C++ -*-===//

#pragma once

#include "frontend/evaluation/EvalInputs.h"
#include "frontend/models/huggingface/ModelFolder.h"
#include "runtime/checkpoint/SafetensorsWriter.h"
#include "runtime/executor/Executor.h"

namespace primus::evaluation {

struct EvalOutputs {
  bool loss = false, logits = false, gradients = false;
};

/// What will be saved: loss f32 [], logits f32 [B, T, V], and grad.<name> f32 in the checkpoint's own shapes.
std::vector<runtime::TensorDescription> describeOutputs(const EvalOutputs &outputs, const EvalInputs &inputs,
                                                        const models::huggingface::WeightMap &map, int64_t vocabulary);

/// Runs an executable that was compiled for the inputs' shape, with the programs that the outputs need.
class Evaluation {
public:
  Evaluation(runtime::Executor &executor, const EvalInputs &inputs, const models::huggingface::ModelWeights &weights)
      : executor(executor), inputs(inputs), weights(weights) {}

  /// Fills the parameters from the checkpoint, tensor by tensor.
  runtime::Error load();

  /// Computes the outputs and appends them in the order of describeOutputs. Returns the loss, if it was wanted.
  runtime::Expected<std::optional<float>> run(const EvalOutputs &outputs, runtime::SafetensorsWriter &writer);

private:
  runtime::Expected<float> runGradients();
  runtime::Expected<float> runForward();
  runtime::Error writeTokens(int program, std::vector<int64_t> shape, bool labels);
  runtime::Error saveLogits(runtime::SafetensorsWriter &writer);
  runtime::Error saveGradient(const models::huggingface::WeightTensor &tensor, runtime::SafetensorsWriter &writer);

  runtime::Executor &executor;
  const EvalInputs &inputs;
  const models::huggingface::ModelWeights &weights;
};

} // namespace primus::evaluation

//===- Evaluation.cpp - Loss, logits and gradients of a checkpoint --------===//

#include "frontend/evaluation/Evaluation.h"

#include "frontend/models/huggingface/WeightLayout.h"


namespace primus::evaluation {

using models::Parameter;
using models::huggingface::WeightMap;
using models::huggingface::WeightTensor;
using runtime::Error;
using runtime::Expected;
using runtime::SafetensorsFolder;
using runtime::SafetensorsWriter;
using runtime::StoredType;
using runtime::Tensor;
using runtime::TensorDescription;

std::vector<TensorDescription> describeOutputs(const EvalOutputs &outputs, const EvalInputs &inputs,
                                               const WeightMap &map, int64_t vocabulary) {
  std::vector<TensorDescription> descriptions;
  if (outputs.loss)
    descriptions.push_back({"loss", StoredType::F32, {}});
  if (outputs.logits)
    descriptions.push_back({"logits", StoredType::F32, {inputs.batch, inputs.tokens, vocabulary}});
  if (outputs.gradients)
    for (const WeightTensor &tensor : map.tensors)
      descriptions.push_back({"grad." + tensor.name, StoredType::F32, tensor.shape});
  return descriptions;
}

/// A part of a variable of floats, from element `first` on.
static Tensor slice(const Tensor &variable, int64_t first, size_t bytes) {
  return {variable.address + first * int64_t(sizeof(float)), int64_t(bytes)};
}

Error Evaluation::load() {
  if (Error error = executor.initializeConstants())
    return error;
  std::vector<float> floats;
  for (const WeightTensor &tensor : weights.map.tensors) {
    const SafetensorsFolder::Entry &entry = weights.find(tensor);
    auto elementBytes = int64_t(getElementBytes(entry.tensor->type));
    auto take = [&](const Parameter &part, int64_t first, std::span<const std::byte> elements) -> Error {
      Expected<Tensor> variable = executor.findVariable(part.name);
      if (!variable)
        return variable.takeError();
      floats.resize(elements.size() / size_t(elementBytes));
      models::huggingface::convertToFloat(entry.tensor->type, elements, floats);
      return executor.write(slice(*variable, first, floats.size() * sizeof(float)), floats.data());
    };
    if (Error error = models::huggingface::splitTensor(tensor, elementBytes, entry.getBytes(), take))
      return error;
    entry.file->release(*entry.tensor);
  }
  return Error::success();
}

/// Writes the inputs `tokens` and, if wanted, `labels` of a program.
Error Evaluation::writeTokens(int program, std::vector<int64_t> shape, bool labels) {
  auto write = [&](const char *name, const std::vector<int32_t> &values) -> Error {
    Expected<Tensor> port = executor.findInput(program, name, executable::I32, shape);
    if (!port)
      return port.takeError();
    return executor.write(*port, values.data());
  };
  if (Error error = write("tokens", inputs.inputIds))
    return error;
  return labels ? write("labels", inputs.labels) : Error::success();
}

Expected<float> Evaluation::runGradients() {
  int program = executor.findProgram("gradients");
  if (program < 0)
    return Error::defect("the executable has no program 'gradients'");
  if (Error error = writeTokens(program, {1, inputs.batch, inputs.tokens}, /*labels=*/true))
    return error;
  if (Error error = executor.run(program))
    return error;
  Expected<Tensor> loss = executor.findOutput(program, "loss", executable::F32, {});
  if (!loss)
    return loss.takeError();
  return executor.readScalar(*loss);
}

Expected<float> Evaluation::runForward() {
  int program = executor.findProgram("forward");
  if (program < 0)
    return Error::defect("the executable has no program 'forward'");
  if (Error error = writeTokens(program, {inputs.batch, inputs.tokens}, /*labels=*/true))
    return error;
  if (Error error = executor.run(program))
    return error;
  Expected<Tensor> sum = executor.findOutput(program, "loss_sum", executable::F32, {});
  if (!sum)
    return sum.takeError();
  Expected<Tensor> valid = executor.findOutput(program, "valid_tokens", executable::F32, {});
  if (!valid)
    return valid.takeError();
  Expected<float> losses = executor.readScalar(*sum), tokens = executor.readScalar(*valid);
  if (!losses)
    return losses.takeError();
  if (!tokens)
    return tokens.takeError();
  return *losses / *tokens;
}

/// Rows of the program's logits without the padding of the vocabulary.
Error Evaluation::saveLogits(SafetensorsWriter &writer) {
  int program = executor.findProgram("logits");
  if (program < 0)
    return Error::defect("the executable has no program 'logits'");
  if (Error error = writeTokens(program, {inputs.batch, inputs.tokens}, /*labels=*/false))
    return error;
  if (Error error = executor.run(program))
    return error;
  int64_t vocabulary = executor.getExecutable().training().vocabulary(), rows = inputs.batch * inputs.tokens;
  int64_t padded = executor.getExecutable().programs(program).outputs(0).type().shape(1);
  Expected<Tensor> logits = executor.findOutput(program, "logits", executable::F32, {rows, padded});
  if (!logits)
    return logits.takeError();
  std::vector<float> row(size_t(vocabulary), 0);
  for (int64_t i = 0; i < rows; ++i) {
    if (Error error = executor.read(slice(*logits, i * padded, row.size() * sizeof(float)), row.data()))
      return error;
    if (Error error = writer.append(std::as_bytes(std::span(row))))
      return error;
  }
  return Error::success();
}

Error Evaluation::saveGradient(const WeightTensor &tensor, SafetensorsWriter &writer) {
  auto give = [&](const Parameter &part, int64_t first, std::span<std::byte> elements) -> Error {
    Expected<Tensor> gradient = executor.findVariable(part.name + ".grad");
    if (!gradient)
      return gradient.takeError();
    return executor.read(slice(*gradient, first, elements.size()), elements.data());
  };
  return models::huggingface::joinTensor(tensor, sizeof(float), give,
                                         [&](std::span<const std::byte> bytes) { return writer.append(bytes); });
}

Expected<std::optional<float>> Evaluation::run(const EvalOutputs &outputs, SafetensorsWriter &writer) {
  std::optional<float> loss;
  if (outputs.loss || outputs.gradients) {
    Expected<float> computed = outputs.gradients ? runGradients() : runForward();
    if (!computed)
      return computed.takeError();
    loss = *computed;
  }
  if (outputs.loss)
    if (Error error = writer.append(std::as_bytes(std::span(&*loss, 1))))
      return error;
  if (outputs.logits)
    if (Error error = saveLogits(writer))
      return error;
  // Gradients are variables, which the other programs leave alone.
  if (outputs.gradients)
    for (const WeightTensor &tensor : weights.map.tensors)
      if (Error error = saveGradient(tensor, writer))
        return error;
  return loss;
}

} // namespace primus::evaluation

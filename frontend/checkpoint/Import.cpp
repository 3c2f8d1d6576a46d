//===- Import.cpp - From a Hugging Face checkpoint to ours ----------------===//

#include "frontend/checkpoint/Import.h"

#include "frontend/checkpoint/NewFolder.h"
#include "frontend/checkpoint/SourceFolder.h"
#include "frontend/models/huggingface/WeightLayout.h"
#include "runtime/checkpoint/CheckpointWriter.h"

#include <fmt/format.h>

namespace primus::checkpoint {

using models::Parameter;
using models::huggingface::ModelConfig;
using models::huggingface::ModelWeights;
using models::huggingface::WeightTensor;
using runtime::CheckpointDraft;
using runtime::CheckpointIndex;
using runtime::CheckpointWriter;
using runtime::Error;
using runtime::Expected;
using runtime::SafetensorsFolder;
using runtime::StoredType;

/// Zeros for the rows that pad a parameter.
static Error appendPadding(const Parameter &parameter, CheckpointWriter &writer) {
  std::vector<float> row(size_t(parameter.shape.size() == 2 ? parameter.shape[1] : 1), 0);
  for (int64_t i = 0; i < parameter.padding; ++i)
    if (Error error = writer.append(std::as_bytes(std::span(row))))
      return error;
  return Error::success();
}

/// The parts of a tensor follow one after the other, as they stand in the index.
static Error writeTensor(const WeightTensor &tensor, const SafetensorsFolder::Entry &entry, CheckpointWriter &writer) {
  auto elementBytes = int64_t(getElementBytes(entry.tensor->type));
  std::vector<float> floats;
  auto take = [&](const Parameter &part, int64_t first, std::span<const std::byte> elements) -> Error {
    floats.resize(elements.size() / size_t(elementBytes));
    models::huggingface::convertToFloat(entry.tensor->type, elements, floats);
    if (Error error = writer.append(std::as_bytes(std::span(floats))))
      return error;
    int64_t columns = part.shape.size() == 2 ? part.shape[1] : 1;
    bool isLast = first + int64_t(floats.size()) == models::huggingface::getRows(part) * columns;
    return isLast ? appendPadding(part, writer) : Error::success();
  };
  if (Error error = models::huggingface::splitTensor(tensor, elementBytes, entry.getBytes(), take))
    return error;
  entry.file->release(*entry.tensor);
  return Error::success();
}

Error importCheckpoint(const ImportOptions &options) {
  Expected<ModelConfig> model = models::huggingface::readModelConfig(options.from, {}, options.allowUnknown);
  if (!model)
    return model.takeError();
  fmt::print(stderr, "{}", model->warnings);
  Expected<ModelWeights> weights =
      models::huggingface::openWeights(options.from, *model->architecture, model->spec.model());
  if (!weights)
    return weights.takeError();
  Expected<NewFolder> folder = NewFolder::create(options.to, "--to");
  if (!folder)
    return folder.takeError();

  CheckpointIndex index;
  int64_t bytes = 0, rounded = 0;
  for (const WeightTensor &tensor : weights->map.tensors) {
    rounded += weights->find(tensor).tensor->type == StoredType::F64;
    for (const Parameter &part : tensor.parts) {
      runtime::CheckpointTensor description;
      description.name = part.name;
      description.type = StoredType::F32;
      description.shape = part.shape;
      description.role = "parameter";
      bytes += int64_t(description.getBytes().value_or(0));
      index.tensors.push_back(std::move(description));
    }
  }
  if (rounded)
    fmt::print(stderr, "warning: {} tensors are F64 and are rounded to F32, the type of our parameters\n", rounded);
  std::string path = *folder / "checkpoint";
  size_t count = index.tensors.size();
  Expected<CheckpointDraft> draft = CheckpointDraft::create(path, std::move(index));
  if (!draft)
    return draft.takeError();
  Expected<CheckpointWriter> writer = CheckpointWriter::create(std::move(*draft));
  if (!writer)
    return writer.takeError();
  for (const WeightTensor &tensor : weights->map.tensors)
    if (Error error = writeTensor(tensor, weights->find(tensor), *writer))
      return error;
  if (Error error = writer->finish())
    return error;
  if (Error error = SourceFolder::keep(*weights, path))
    return error;
  if (Error error = folder->finish("checkpoint"))
    return error;
  fmt::print(stderr, "imported {} tensors as {} parameters ({:.1f} MiB) into {}\n", weights->map.tensors.size(), count,
             double(bytes) / (1 << 20), options.to);
  return Error::success();
}

} // namespace primus::checkpoint

//===- Export.cpp - From a checkpoint of ours to Hugging Face's -----------===//

#include "frontend/checkpoint/Export.h"

#include "frontend/checkpoint/NewFolder.h"
#include "frontend/checkpoint/SourceFolder.h"
#include "frontend/models/huggingface/WeightLayout.h"
#include "runtime/checkpoint/CheckpointFolder.h"
#include "runtime/checkpoint/SafetensorsWriter.h"
#include "runtime/support/WriteFile.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <cstring>
#include <fstream>
#include <map>

namespace primus::checkpoint {

using models::Parameter;
using models::huggingface::ModelConfig;
using models::huggingface::WeightMap;
using models::huggingface::WeightTensor;
using runtime::Checkpoint;
using runtime::CheckpointTensor;
using runtime::Error;
using runtime::Expected;
using runtime::SafetensorsWriter;
using runtime::StoredType;
using runtime::TensorDescription;

namespace {

class Exporter {
public:
  Exporter(const ExportOptions &options, const Checkpoint &checkpoint, const SourceFolder &source)
      : options(options), checkpoint(checkpoint), source(source) {}

  Error run();

private:
  Error matchParameters(const spec::Model &model);
  Error writeFile(const std::string &name, const std::vector<SourceTensor> &tensors, const NewFolder &folder);
  Error writeTensor(const SourceTensor &tensor, SafetensorsWriter &writer) const;
  Error writeIndex(const NewFolder &folder) const;
  Error setConfigType(const NewFolder &folder) const;

  const ExportOptions &options;
  const Checkpoint &checkpoint;
  const SourceFolder &source;
  WeightMap map;
  /// By the name in the Hugging Face checkpoint; null for those that are no parameters.
  std::map<std::string, const WeightTensor *> tensors;
  /// By file.
  std::map<std::string, std::vector<SourceTensor>> files;
  uint64_t bytes = 0;
};

} // namespace

/// The checkpoint has to hold all parameters; it may pad the vocabulary in its own way.
Error Exporter::matchParameters(const spec::Model &model) {
  std::vector<std::string> problems;
  for (WeightTensor &tensor : map.tensors) {
    for (Parameter &part : tensor.parts) {
      const CheckpointTensor *stored = checkpoint.find(part.name);
      if (!stored) {
        problems.push_back(fmt::format("{} is missing", part.name));
        continue;
      }
      std::vector<int64_t> expected = part.shape;
      bool isTable = part.name == "embedding.weight" || part.name == "head.weight";
      int64_t rows = models::huggingface::getRows(part);
      if (isTable && stored->shape.size() == 2 && stored->shape[0] >= rows)
        expected[0] = stored->shape[0];
      if (stored->shape != expected || stored->type != StoredType::F32)
        problems.push_back(fmt::format("{} is {}, but config.json makes it F32[{}]", part.name, stored->str(),
                                       fmt::join(part.shape, "x")));
      part.shape = expected;
      part.padding = expected[0] - rows;
    }
  }
  int64_t known = 0, stored = 0;
  for (const WeightTensor &tensor : map.tensors)
    known += int64_t(tensor.parts.size());
  for (const CheckpointTensor &tensor : checkpoint.getTensors())
    stored += tensor.role == "parameter";
  if (problems.empty() && stored > known)
    problems.push_back(fmt::format("it has {} parameters, but config.json describes {}", stored, known));
  if (problems.empty())
    return Error::success();
  constexpr size_t most = 12;
  if (problems.size() > most) {
    size_t more = problems.size() - most;
    problems.resize(most);
    problems.push_back(fmt::format("and {} more", more));
  }
  return Error::failure(fmt::format("the checkpoint '{}' is not of the model in '{}':\n  {}", checkpoint.getPath(),
                                    source.getPath(), fmt::join(problems, "\n  ")));
}

Error Exporter::writeTensor(const SourceTensor &tensor, SafetensorsWriter &writer) const {
  const WeightTensor *weight = tensors.at(tensor.name);
  if (!weight) {
    Expected<std::span<const std::byte>> buffer = source.getBuffer(tensor.name);
    return buffer ? writer.append(*buffer) : buffer.takeError();
  }
  std::vector<float> floats;
  auto give = [&](const Parameter &part, int64_t first, std::span<std::byte> elements) -> Error {
    floats.resize(elements.size() / getElementBytes(tensor.type));
    runtime::TensorRegion region = {{first}, {int64_t(floats.size())}};
    if (part.shape.size() == 2)
      region = {{first / part.shape[1], 0}, {int64_t(floats.size()) / part.shape[1], part.shape[1]}};
    checkpoint.read(*checkpoint.find(part.name), region, [&](uint64_t offset, std::span<const std::byte> piece) {
      std::memcpy(reinterpret_cast<std::byte *>(floats.data()) + offset, piece.data(), piece.size());
    });
    models::huggingface::convertFromFloat(tensor.type, floats, elements);
    return Error::success();
  };
  return models::huggingface::joinTensor(*weight, int64_t(getElementBytes(tensor.type)), give,
                                         [&](std::span<const std::byte> piece) { return writer.append(piece); });
}

Error Exporter::writeFile(const std::string &name, const std::vector<SourceTensor> &content, const NewFolder &folder) {
  std::vector<TensorDescription> descriptions(content.begin(), content.end());
  Expected<SafetensorsWriter> writer = SafetensorsWriter::create(folder / name, descriptions, {{"format", "pt"}});
  if (!writer)
    return writer.takeError();
  for (const SourceTensor &tensor : content)
    if (Error error = writeTensor(tensor, *writer))
      return error;
  return writer->finish();
}

Error Exporter::writeIndex(const NewFolder &folder) const {
  nlohmann::ordered_json index = {{"metadata", {{"total_size", bytes}}}};
  for (const auto &[file, content] : files)
    for (const SourceTensor &tensor : content)
      index["weight_map"][tensor.name] = file;
  return runtime::writeFileAtomically(folder / "model.safetensors.index.json", index.dump(2) + "\n");
}

/// With --dtype, config.json says what the tensors are now.
Error Exporter::setConfigType(const NewFolder &folder) const {
  std::string path = folder / "config.json";
  std::ifstream stream(path);
  nlohmann::ordered_json config = nlohmann::ordered_json::parse(stream, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object())
    return Error::failure(fmt::format("'{}/config.json' changed while it was read", source.getPath()));
  const char *name = options.type == StoredType::BF16  ? "bfloat16"
                     : options.type == StoredType::F16 ? "float16"
                                                       : "float32";
  config[config.contains("dtype") ? "dtype" : "torch_dtype"] = name;
  return runtime::writeFileAtomically(path, config.dump(2) + "\n");
}

Error Exporter::run() {
  // Unknown keys were judged at the import, or are none of ours.
  Expected<ModelConfig> model = models::huggingface::readModelConfig(source.getPath(), {}, /*allowUnknown=*/true);
  if (!model)
    return model.takeError();
  std::map<std::string, TensorDescription> present;
  for (const SourceTensor &tensor : source.getTensors())
    present.emplace(tensor.name, tensor);
  Expected<WeightMap> matched = models::huggingface::matchTensors(*model->architecture, model->spec.model(), present);
  if (!matched)
    return Error::failure(fmt::format("{}: {}", source.getPath(), matched.takeError().getMessage()));
  map = std::move(*matched);
  if (Error error = matchParameters(model->spec.model()))
    return error;

  for (const SourceTensor &tensor : source.getTensors()) {
    tensors[tensor.name] = nullptr;
    files[tensor.file].push_back(tensor);
  }
  for (const WeightTensor &tensor : map.tensors)
    tensors[tensor.name] = &tensor;
  if (!map.tiedCopy.empty())
    tensors[map.tiedCopy] = &map.tensors.front();
  for (auto &[file, content] : files) {
    for (SourceTensor &tensor : content) {
      if (options.type && tensors[tensor.name])
        tensor.type = *options.type;
      bytes += tensor.getBytes().value_or(0);
    }
  }

  Expected<NewFolder> folder = NewFolder::create(options.to, "--hf");
  if (!folder)
    return folder.takeError();
  if (Error error = source.copyFiles(folder->getTemporaryPath()))
    return error;
  if (options.type)
    if (Error error = setConfigType(*folder))
      return error;
  for (const auto &[file, content] : files)
    if (Error error = writeFile(file, content, *folder))
      return error;
  if (files.size() > 1)
    if (Error error = writeIndex(*folder))
      return error;
  if (Error error = folder->finish())
    return error;
  fmt::print(stderr, "exported step {} as {} tensors ({:.1f} MiB) into {}\n", checkpoint.getState().step,
             tensors.size(), double(bytes) / (1 << 20), options.to);
  return Error::success();
}

Error exportCheckpoint(const ExportOptions &options) {
  Expected<std::optional<Checkpoint>> checkpoint = runtime::findCheckpoint(options.from);
  if (!checkpoint)
    return checkpoint.takeError();
  if (!*checkpoint)
    return Error::configuration(fmt::format("--from: there is no checkpoint in '{}'", options.from));
  bool keeps = SourceFolder::isKeptIn((*checkpoint)->getPath());
  if (options.like.empty() && !keeps)
    return Error::configuration(
        fmt::format("the checkpoint '{}' was not imported from a Hugging Face folder: name one of the same model with "
                    "--like, for its config.json, tokenizer and names",
                    (*checkpoint)->getPath()));
  Expected<SourceFolder> source = SourceFolder::open(options.like.empty() ? (*checkpoint)->getPath() : options.like);
  if (!source)
    return source.takeError();
  return Exporter(options, **checkpoint, *source).run();
}

} // namespace primus::checkpoint

//===- ModelFolder.cpp - A Hugging Face model on disk ---------------------===//

#include "frontend/models/huggingface/ModelFolder.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

namespace primus::models::huggingface {

using runtime::Error;
using runtime::Expected;
using runtime::SafetensorsFolder;
using runtime::TensorDescription;

Expected<ModelConfig> readModelConfig(const std::string &path, const std::vector<std::string> &overrides,
                                      bool allowUnknown) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored))
    return Error::configuration(fmt::format("there is no folder '{}'", path));
  config::ConfigRequest request;
  request.experiment = path;
  request.overrides = overrides;
  request.allowUnknown = allowUnknown;
  request.evaluation = true;
  config::Diagnostics diagnostics;
  std::optional<config::ResolvedConfig> resolved = config::resolveConfig(request, diagnostics);
  std::optional<config::SpecResult> built;
  if (resolved)
    built = config::buildSpec(*resolved, diagnostics);
  if (!built)
    return Error::configuration(diagnostics.str());

  ModelConfig model;
  model.spec = std::move(built->spec);
  model.warnings = diagnostics.str();
  model.architecture = config::huggingface::findArchitecture(resolved->params, resolved->moduleLocation, diagnostics);
  auto positions = resolved->params.find(model.architecture->positionsKey);
  if (positions != resolved->params.end() && positions->second.value.asInt())
    model.positions = *positions->second.value.asInt();
  return model;
}

static Error checkTiedCopy(const ModelWeights &weights) {
  const WeightTensor &embedding = weights.map.tensors.front();
  const SafetensorsFolder::Entry &first = weights.find(embedding);
  const SafetensorsFolder::Entry &second = *weights.folder.find(weights.map.tiedCopy);
  bool equal = first.tensor->type == second.tensor->type && std::ranges::equal(first.getBytes(), second.getBytes());
  first.file->release(*first.tensor);
  second.file->release(*second.tensor);
  if (equal)
    return Error::success();
  return Error::failure(fmt::format("{}: config.json ties the head to the embedding, but {} and {} differ; set "
                                    "tie_word_embeddings to false, or remove one of them",
                                    weights.folder.getPath(), embedding.name, weights.map.tiedCopy));
}

Expected<ModelWeights> openWeights(const std::string &path, const Architecture &architecture,
                                   const spec::Model &model) {
  Expected<SafetensorsFolder> folder = SafetensorsFolder::open(path);
  if (!folder)
    return folder.takeError();
  std::map<std::string, TensorDescription> present;
  for (const auto &[name, entry] : folder->getTensors())
    present.emplace(name, *entry.tensor);
  Expected<WeightMap> map = matchTensors(architecture, model, present);
  if (!map)
    return Error::failure(fmt::format("{}: {}", path, map.takeError().getMessage()));
  ModelWeights weights = {std::move(*folder), std::move(*map)};
  if (!weights.map.tiedCopy.empty())
    if (Error error = checkTiedCopy(weights))
      return error;
  return weights;
}

} // namespace primus::models::huggingface

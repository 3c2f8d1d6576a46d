//===- ModelFolder.h - A Hugging Face model on disk --------------*- C++ -*-===//

#pragma once

#include "frontend/models/huggingface/WeightMap.h"
#include "runtime/checkpoint/SafetensorsFolder.h"

namespace primus::models::huggingface {

/// What a config.json says. Only the model's part of the spec means anything.
struct ModelConfig {
  spec::TrainingSpec spec;
  const Architecture *architecture = nullptr;
  /// Tokens of the longest sequence, or 0 where config.json does not say.
  int64_t positions = 0;
  /// Located messages, one per line.
  std::string warnings;
};

/// Reads the config.json of the folder `path`, with `overrides` (key=value) over its keys. Dropout counts as off. The
/// error holds all messages.
runtime::Expected<ModelConfig> readModelConfig(const std::string &path, const std::vector<std::string> &overrides = {},
                                               bool allowUnknown = false);

/// A checkpoint's tensors and what they are for the model.
struct ModelWeights {
  runtime::SafetensorsFolder folder;
  WeightMap map;

  const runtime::SafetensorsFolder::Entry &find(const WeightTensor &tensor) const { return *folder.find(tensor.name); }
};

/// Opens the checkpoint in the folder `path` and finds the model's tensors in it. Of a tied head that is stored twice,
/// both copies have to be equal.
runtime::Expected<ModelWeights> openWeights(const std::string &path, const Architecture &architecture,
                                            const spec::Model &model);

} // namespace primus::models::huggingface

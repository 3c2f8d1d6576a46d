//===- Megatron.h - Keys of the megatron flavour -----------------*- C++ -*-===//
//
// Each function reads the keys of one subject, with Megatron's own defaults where a key is absent, and sets the fields
// of one part of the TrainingSpec. The fate of every key stands in the Keys*.def tables.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/config/Config.h"
#include "frontend/config/KeyReader.h"
#include "frontend/config/SpecWriter.h"

namespace primus::config::megatron {

/// What the mapping functions share.
struct Mapping {
  const ResolvedConfig &config;
  KeyReader &keys;
  SpecWriter &spec;
  Diagnostics &diagnostics;
};

/// Architecture, positions, normalisation, vocabulary, initial weights.
void mapModel(Mapping &mapping);
/// Rows of the embedding and what the tokens are.
void mapVocabulary(Mapping &mapping);
/// Optimizer and learning rate schedule.
void mapOptimizer(Mapping &mapping);
/// Steps, batches, precision, recompute, evaluation.
void mapTraining(Mapping &mapping);
/// Parallel sizes.
void mapParallelism(Mapping &mapping);
/// Training and validation data.
void mapData(Mapping &mapping);

} // namespace primus::config::megatron

//===- Megatron.h - Keys of the megatron flavour -----------------*- C++ -*-===//
//
// Each function reads the keys of one subject, with Megatron's own defaults where a key is absent, and sets the fields
// of one part of the TrainingSpec. The fate of every key stands in the Keys*.def tables.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/config/Flavour.h"

namespace primus::config::megatron {

/// The fates of all keys.
const FateTable &fates();
/// Reads every mapped key: all of the functions below.
void map(Mapping &mapping);
/// All of them but mapModel: keys that say nothing of the model.
void mapRun(Mapping &mapping);

/// Architecture, positions, normalisation, vocabulary, initial weights.
void mapModel(Mapping &mapping);
/// Rows of the embedding and what the tokens are.
void mapVocabulary(Mapping &mapping);
/// Optimizer and learning rate schedule.
void mapOptimizer(Mapping &mapping);
/// Steps, batches, precision, recompute, evaluation.
void mapTraining(Mapping &mapping);
/// Which linear layers are quantised to 8 bits, and how.
void mapFp8(Mapping &mapping);
/// Parallel sizes.
void mapParallelism(Mapping &mapping);
/// What each pipeline stage holds, and the schedule. Behind the batch sizes, which it checks.
void mapPipeline(Mapping &mapping);
/// Checkpoints that are saved and loaded, and the steps at which a run ends early.
void mapCheckpoint(Mapping &mapping);
/// Events for TensorBoard.
void mapLogs(Mapping &mapping);
/// Training and validation data.
void mapData(Mapping &mapping);

} // namespace primus::config::megatron

//===- TorchTitan.h - Keys of the torchtitan flavour -------------*- C++ -*-===//
//
// Defaults and meanings are those of pytorch/torchtitan at 73a0e697 (torchtitan/config/job_config.py), which Primus
// pins. The sizes of its models are facts in configs/models/torchtitan/flavors. Keys `model.*` override them, as Primus
// does.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/config/Flavour.h"

namespace primus::config::torchtitan {

/// The fates of all keys.
const FateTable &fates();
/// Reads every mapped key: all of the functions below.
void map(Mapping &mapping);

/// Architecture, vocabulary and initial weights. False after an error that makes the rest pointless.
bool mapModel(Mapping &mapping);
/// AdamW, and warm-up, stable phase and decay of the learning rate.
void mapOptimizer(Mapping &mapping);
/// Steps, batches, precision, activation checkpointing, parallel sizes, data.
void mapTraining(Mapping &mapping);
/// Which linear layers are quantised to 8 bits, and how. Behind the model.
void mapFp8(Mapping &mapping);
/// Stages of a pipeline, their schedule, and the microbatches that pass through it; gives the size of those. Behind the
/// parallel sizes.
Setting<int64_t> mapPipeline(Mapping &mapping, const Setting<int64_t> &localBatch);

} // namespace primus::config::torchtitan

//===- MaxText.h - Keys of the maxtext flavour -------------------*- C++ -*-===//
//
// Defaults and meanings are those of AI-Hypercomputer/maxtext at e591f30c (src/maxtext/configs/base.yml). What a
// model_name stands for are facts in configs/models/maxtext/facts; keys of the experiment override them.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/config/Flavour.h"

namespace primus::config::maxtext {

/// The fates of all keys.
const FateTable &fates();
/// Reads every mapped key: all of the functions below.
void map(Mapping &mapping);

/// Architecture, vocabulary and initial weights. False after an error that makes the rest pointless.
bool mapModel(Mapping &mapping);
/// AdamW, and warm-up and decay of the learning rate.
void mapOptimizer(Mapping &mapping);
/// Steps, batches, precision, rematerialisation, parallel sizes, data.
void mapTraining(Mapping &mapping);
/// Which linear layers are quantised to 8 bits, and how.
void mapFp8(Mapping &mapping);
/// Stages of a pipeline; gives the number of microbatches that pass through it at a time. Behind the parallel sizes.
Setting<int64_t> mapPipeline(Mapping &mapping);

} // namespace primus::config::maxtext

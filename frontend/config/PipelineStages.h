//===- PipelineStages.h - The pipeline that a spec describes -----*- C++ -*-===//

#pragma once

#include "frontend/config/TrainingSpec.pb.h"

#include <optional>
#include <string>
#include <vector>

namespace primus::config {

int64_t countLayers(const spec::Model &model);

/// Stages of each pipeline rank.
int64_t countStagesPerRank(const spec::Parallelism &parallel);

/// How many layers each stage has, in order. Where the spec does not say it: equal numbers, rounded down.
std::vector<int64_t> getStageLayers(const spec::TrainingSpec &spec);

/// The name of the schedule that the pipeline follows, unless it follows a table.
std::string getScheduleName(const spec::Parallelism &parallel);

/// The pipeline rank of each stage. Of a table that can't be read: as if there were none.
std::vector<int64_t> getStageRanks(const spec::Parallelism &parallel);

/// As TorchTitan cuts `layers` layers: the embedding counts as `first` layers, the head as `last` ones, and the first stages
/// take what does not divide. Nothing where an embedding or a head counts more than a stage has.
std::optional<std::vector<int64_t>> divideLikeTorchTitan(int64_t stages, int64_t layers, int64_t first, int64_t last);

/// Of one step on one data rank. The batch sizes are positive.
int64_t countMicrobatches(const spec::TrainingSpec &spec);

} // namespace primus::config

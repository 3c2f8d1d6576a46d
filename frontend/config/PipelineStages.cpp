//===- PipelineStages.cpp - The pipeline that a spec describes ------------===//

#include "frontend/config/PipelineStages.h"

#include "frontend/config/CommonKeys.h"

#include "passes/schedules/Schedules.h"

#include <algorithm>

namespace primus::config {

int64_t countLayers(const spec::Model &model) {
  int64_t layers = 0;
  for (const spec::LayerGroup &group : model.layers())
    layers += group.count();
  return layers;
}

int64_t countStagesPerRank(const spec::Parallelism &parallel) { return std::max<int64_t>(parallel.virtual_stages(), 1); }

std::vector<int64_t> getStageLayers(const spec::TrainingSpec &spec) {
  const spec::Parallelism &parallel = spec.parallelism();
  if (!parallel.stage_layers().empty())
    return {parallel.stage_layers().begin(), parallel.stage_layers().end()};
  int64_t stages = parallel.pipeline() * countStagesPerRank(parallel);
  return std::vector<int64_t>(static_cast<size_t>(stages), countLayers(spec.model()) / stages);
}

std::string getScheduleName(const spec::Parallelism &parallel) {
  if (!parallel.schedule().empty())
    return parallel.schedule();
  return countStagesPerRank(parallel) > 1 ? "interleaved" : "1f1b";
}

std::vector<int64_t> getStageRanks(const spec::Parallelism &parallel) {
  if (!parallel.schedule_table().empty()) {
    if (llvm::Expected<schedules::Table> table = schedules::parseCsv(parallel.schedule_table()))
      return {table->rankOfStage.begin(), table->rankOfStage.end()};
    else
      llvm::consumeError(table.takeError());
  }
  const schedules::Schedule *schedule = schedules::findSchedule(getScheduleName(parallel));
  bool isV = schedule && schedule->isV;
  std::vector<int64_t> ranks;
  for (int64_t turn = 0; turn < countStagesPerRank(parallel); ++turn)
    for (int64_t place = 0; place < parallel.pipeline(); ++place)
      ranks.push_back(isV && turn % 2 == 1 ? parallel.pipeline() - 1 - place : place);
  return ranks;
}

std::optional<std::vector<int64_t>> divideLikeTorchTitan(int64_t stages, int64_t layers, int64_t first, int64_t last) {
  int64_t places = layers + first + last, each = places / stages;
  if (each == 0 || first > each || last > each)
    return std::nullopt;
  std::vector<int64_t> counts(static_cast<size_t>(stages), each);
  for (int64_t stage = 0; stage < places % stages; ++stage)
    ++counts[stage];
  counts.front() -= first;
  counts.back() -= last;
  return counts;
}

int64_t countMicrobatches(const spec::TrainingSpec &spec) {
  const spec::Training &training = spec.training();
  return training.global_batch_size() / saturatingProduct({training.micro_batch_size(), spec.parallelism().data()});
}

} // namespace primus::config

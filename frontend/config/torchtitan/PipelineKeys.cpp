//===- PipelineKeys.cpp - Pipelines as TorchTitan cuts and schedules them -===//
//
// torchtitan/distributed/pipeline_parallel.py. The names of schedules are those of torch.distributed.pipelining, in any
// case.
//
//===----------------------------------------------------------------------===//

#include "frontend/config/CommonKeys.h"
#include "frontend/config/PipelineStages.h"
#include "frontend/config/SpecChecker.h"
#include "frontend/config/torchtitan/TorchTitan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace primus::config::torchtitan {

namespace {

struct KnownSchedule {
  std::string_view theirs, ours;
  /// A schedule of several stages a rank has two by default, one of a single stage never more.
  bool hasSeveral;
};

constexpr KnownSchedule kSchedules[] = {
    {"1F1B", "1f1b", false},
    {"GPipe", "gpipe", false},
    {"LoopedBFS", "gpipe", true},
    {"Interleaved1F1B", "interleaved", true},
    {"InterleavedZeroBubble", "zero-bubble", true},
    {"ZBVZeroBubble", "zbv", true},
};

class PipelineMapper {
public:
  explicit PipelineMapper(Mapping &m)
      : m(m), ranks{m.spec.get().parallelism().pipeline(), m.keys.origin("parallelism.pipeline_parallel_degree")},
        layers(countLayers(m.spec.get().model())) {}

  void map() {
    std::optional<Setting<int64_t>> perStage = m.keys.tryInteger("parallelism.pipeline_parallel_layers_per_stage");
    if (perStage && perStage->value < 1)
      return error(perStage->origin, fmt::format("'{}' must be at least 1, but is {}", perStage->origin.key, perStage->value));
    Setting<int64_t> first = m.keys.count("parallelism.pipeline_parallel_first_stage_less_layers", 1, 0);
    Setting<int64_t> last = m.keys.count("parallelism.pipeline_parallel_last_stage_less_layers", 1, 0);
    Setting<std::string> name = m.keys.text("parallelism.pipeline_parallel_schedule", "1F1B");
    mapScheduleTable(m, "parallelism.pipeline_parallel_schedule_csv");
    if (ranks.value == 1 || ranks.value > mostRanks || layers > mostLayers)
      return;
    const KnownSchedule *schedule = findSchedule(name);
    if (!schedule)
      return;
    m.spec.set("parallelism.schedule", name.with(std::string(schedule->ours)));
    for (const Setting<int64_t> *less : {&first, &last})
      if (less->value > mostLayers)
        return error(less->origin, fmt::format("'{}' must be at most {}, but is {}", less->origin.key, mostLayers, less->value));
    std::optional<int64_t> each = perStage ? countFromSize(*schedule, name, *perStage, layers + first.value + last.value)
                                           : std::optional<int64_t>(schedule->hasSeveral ? 2 : 1);
    if (!each)
      return;
    if (*each > 1)
      m.spec.set("parallelism.virtual_stages", perStage ? Setting<int64_t>{*each, perStage->origin} : name.with(*each));
    mapStages(ranks.value * *each, first, last);
  }

private:
  void error(const Origin &origin, std::string message, std::string suggestion = {}) {
    m.diagnostics.error(origin.location, std::move(message), std::move(suggestion));
  }

  const KnownSchedule *findSchedule(const Setting<std::string> &name) {
    auto isSame = [](char left, char right) {
      return std::tolower(static_cast<unsigned char>(left)) == std::tolower(static_cast<unsigned char>(right));
    };
    std::string known;
    for (const KnownSchedule &schedule : kSchedules) {
      if (std::equal(name.value.begin(), name.value.end(), schedule.theirs.begin(), schedule.theirs.end(), isSame))
        return &schedule;
      known += (known.empty() ? "" : ", ") + std::string(schedule.theirs);
    }
    error(name.origin, fmt::format("'{}: \"{}\"' is not supported: another schedule", name.origin.key, name.value),
          "supported: " + known);
    return nullptr;
  }

  /// Stages of each rank from the layers of a stage; the embedding and the head count as layers.
  std::optional<int64_t> countFromSize(const KnownSchedule &schedule, const Setting<std::string> &name,
                                       const Setting<int64_t> &perStage, int64_t places) {
    int64_t stages = (places - 1) / perStage.value + 1, each = stages / ranks.value;
    auto sizeFor = [&](int64_t wanted) { return (places + ranks.value * wanted - 1) / (ranks.value * wanted); };
    if (stages % ranks.value != 0)
      error(perStage.origin,
            fmt::format("{} {} makes {} stages of {} layers (with what counts as one), which {} pipeline ranks can't share",
                        perStage.origin.key, perStage.value, stages, places, ranks.value),
            fmt::format("set {}={}", perStage.origin.key, sizeFor(schedule.hasSeveral ? 2 : 1)));
    else if (schedule.hasSeveral ? each < 2 : each != 1)
      error(perStage.origin,
            fmt::format("the schedule {} has {} on each rank, but {} {} makes {}", name.value,
                        schedule.hasSeveral ? "two stages or more" : "one stage", perStage.origin.key, perStage.value, each),
            fmt::format("set {}={}", perStage.origin.key, sizeFor(schedule.hasSeveral ? 2 : 1)));
    else
      return each;
    return std::nullopt;
  }

  void mapStages(int64_t stages, const Setting<int64_t> &first, const Setting<int64_t> &last) {
    std::optional<std::vector<int64_t>> counts = divideLikeTorchTitan(stages, layers, first.value, last.value);
    if (counts) {
      m.spec.set("parallelism.stage_layers",
                 derived(std::move(*counts), "layers, the embedding and the head in equal parts", ranks.origin));
      return;
    }
    int64_t places = layers + first.value + last.value;
    const Setting<int64_t> &larger = first.value > last.value ? first : last;
    if (places < stages)
      error(ranks.origin, fmt::format("{} layers (with what counts as one) are too few for {} stages", places, stages),
            fmt::format("set {} to {} or less", ranks.origin.key, std::max<int64_t>(places * ranks.value / stages, 1)));
    else
      error(larger.origin, fmt::format("{} {} is more than the {} layers of a stage", larger.origin.key, larger.value, places / stages),
            fmt::format("set {}={}", larger.origin.key, layers / stages));
  }

  Mapping &m;
  Setting<int64_t> ranks;
  int64_t layers;
};

} // namespace

Setting<int64_t> mapPipeline(Mapping &m, const Setting<int64_t> &localBatch) {
  PipelineMapper(m).map();
  Setting<int64_t> size = m.keys.count("parallelism.pipeline_parallel_microbatch_size", 1, 1);
  if (m.spec.get().parallelism().pipeline() == 1)
    return localBatch;
  if (localBatch.value % size.value != 0)
    m.diagnostics.error(size.origin.location,
                        fmt::format("training.local_batch_size {} is not a multiple of {} {}", localBatch.value, size.origin.key,
                                    size.value),
                        fmt::format("set training.local_batch_size={} (it stands at {})",
                                    saturatingProduct({localBatch.value / size.value + 1, size.value}),
                                    localBatch.origin.location.str()));
  m.notes.push_back("All microbatches of a step pass the pipeline in one go; TorchTitan empties it after each local batch.");
  return size;
}

} // namespace primus::config::torchtitan

//===- VerifyPipeline.cpp - Stages of a pipeline and their schedule -------===//

#include "frontend/config/CommonKeys.h"
#include "frontend/config/PipelineStages.h"
#include "frontend/config/SpecChecker.h"
#include "frontend/config/StageBalance.h"

#include "passes/schedules/Check.h"
#include "passes/schedules/Schedules.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <optional>

namespace primus::config {

/// Forward passes of a step on all ranks of a pipeline; beyond, tables take more memory than is reasonable.
static constexpr int64_t mostCells = int64_t(1) << 24;

/// A rank this much slower than need be is worth a warning.
static constexpr double clearlyUneven = 1.15;

namespace {

/// Other layers for the stages, and how the flavour says them.
struct BetterCut {
  std::string settings;
  double imbalance;
};

class PipelineVerifier {
public:
  explicit PipelineVerifier(SpecChecker &check)
      : check(check), spec(check.spec), parallel(spec.parallelism()), ranks(parallel.pipeline()) {}

  void verify() {
    if (!verifySize() || !(parallel.stage_layers().empty() ? verifyEqualStages() : verifyStageLayers()) || ranks == 1)
      return;
    if (parallel.schedule_table().empty() ? verifySchedule() : verifyTable())
      warnOfUnevenStages();
  }

private:
  bool fail(const std::string &field, std::string message, std::string suggestion = {}) {
    check.error(field, std::move(message), std::move(suggestion));
    return false;
  }

  bool isMegatron() const { return spec.framework() == "megatron" || spec.framework() == "huggingface"; }

  /// What to set for the number of stages of each rank, where a key may not be there yet.
  std::string nameOfStagesPerRank() const {
    std::string name = check.name("parallelism.virtual_stages");
    return name == "parallelism.virtual_stages" && isMegatron() ? "num_virtual_stages_per_pipeline_rank" : name;
  }

  bool verifySize() {
    stages = saturatingProduct({ranks, countStagesPerRank(parallel)});
    if (ranks == 1 && countStagesPerRank(parallel) > 1)
      return fail("parallelism.virtual_stages",
                  fmt::format("{} {} needs several pipeline stages, but {} is 1", check.name("parallelism.virtual_stages"),
                              parallel.virtual_stages(), check.name("parallelism.pipeline")),
                  fmt::format("set {}=1 ({})", check.name("parallelism.virtual_stages"), check.place("parallelism.pipeline")));
    return true;
  }

  bool verifyEqualStages() {
    int64_t layers = countLayers(spec.model()), each = countStagesPerRank(parallel);
    std::string name = check.name("parallelism.pipeline");
    if (layers % ranks != 0) {
      int64_t fit = std::min(ranks, layers);
      while (layers % fit != 0)
        --fit;
      std::optional<BetterCut> cut = findCut();
      return fail("parallelism.pipeline",
                  fmt::format("{} {} is not a multiple of {} {}", check.name("model.layers[0].count"), layers, name, ranks),
                  fmt::format("set {}={}{} ({})", name, fit, cut ? fmt::format(", or {}", cut->settings) : "",
                              check.place("model.layers[0].count")));
    }
    if (layers / ranks % each != 0)
      return fail("parallelism.virtual_stages",
                  fmt::format("the {} layers of a pipeline stage cannot be split into {} {}", layers / ranks,
                              check.name("parallelism.virtual_stages"), each),
                  fmt::format("choose a divisor of {} ({})", layers / ranks, check.place("parallelism.pipeline")));
    return true;
  }

  bool verifyStageLayers() {
    const auto &given = parallel.stage_layers();
    int64_t layers = countLayers(spec.model()), sum = 0;
    bool inRange = true;
    for (int64_t count : given) {
      inRange &= count >= 0 && count <= layers;
      sum += inRange ? count : 0;
    }
    if (!inRange || given.size() != stages || sum != layers)
      return fail("parallelism.stage_layers",
                  fmt::format("{} stages with {} layers in all are not the {} stages and {} layers of the model", given.size(),
                              sum, stages, layers));
    for (int64_t stage = 1; stage + 1 < stages; ++stage)
      if (given[stage] == 0) {
        std::optional<BetterCut> cut = findCut();
        return fail("parallelism.stage_layers",
                    fmt::format("stage {} of the pipeline has no layer: the {} layers are cut into {}", stage, layers,
                                fmt::join(given, ", ")),
                    cut ? "set " + cut->settings
                        : fmt::format("set {} to {} or less", check.name("parallelism.pipeline"),
                                      std::max<int64_t>(layers / countStagesPerRank(parallel), 1)));
      }
    return true;
  }

  bool verifySchedule() {
    std::string name = getScheduleName(parallel);
    const schedules::Schedule *schedule = schedules::findSchedule(name);
    if (!schedule) {
      std::vector<std::string> known;
      for (const schedules::Schedule &each : schedules::getSchedules())
        known.push_back(each.name.str());
      return fail("parallelism.schedule", fmt::format("there is no pipeline schedule '{}'", name),
                  fmt::format("those are {}", fmt::join(known, ", ")));
    }
    int64_t each = countStagesPerRank(parallel);
    if (each < schedule->leastStagesPerRank || each > schedule->mostStagesPerRank) {
      int64_t fit = each < schedule->leastStagesPerRank ? schedule->leastStagesPerRank : schedule->mostStagesPerRank;
      return fail("parallelism.schedule",
                  fmt::format("the schedule {} has {} stage{} on each pipeline rank, not {}", name, fit, fit == 1 ? "" : "s", each),
                  fmt::format("set {}={}", nameOfStagesPerRank(), fit));
    }
    return verifyCells(stages, countMicrobatches(spec));
  }

  bool verifyCells(int64_t tableStages, int64_t microbatches) {
    if (saturatingProduct({tableStages, microbatches}) <= mostCells)
      return true;
    return fail("parallelism.pipeline",
                fmt::format("a schedule of {} stages and {} microbatches is too large: {} forward passes are the most",
                            tableStages, microbatches, mostCells),
                fmt::format("raise {} ({})", check.name("training.micro_batch_size"), check.place("training.micro_batch_size")));
  }

  bool verifyTable() {
    const char *field = "parallelism.schedule_table";
    std::string name = check.name(field);
    llvm::Expected<schedules::Table> table = schedules::parseCsv(parallel.schedule_table());
    if (!table)
      return fail(field, fmt::format("the table of {}: {}", name, llvm::toString(table.takeError())));
    if (table->getRanks() != ranks)
      return fail(field, fmt::format("the table of {} has {} lines, but there are {} pipeline ranks", name, table->getRanks(), ranks),
                  fmt::format("write a line per rank, or set {}={}", check.name("parallelism.pipeline"), table->getRanks()));
    if (table->stages != stages)
      return fail(field, fmt::format("the table of {} has {} stages, but the pipeline has {}", name, table->stages, stages),
                  table->stages % ranks == 0 && isMegatron()
                      ? fmt::format("set {}={}", nameOfStagesPerRank(), table->stages / ranks)
                      : fmt::format("{} ranks have {} stage{} each", ranks, stages / ranks, stages == ranks ? "" : "s"));
    int64_t microbatches = countMicrobatches(spec), data = parallel.data();
    if (table->microbatches != microbatches)
      return fail(field,
                  fmt::format("the table of {} has {} microbatches, but a step has {}", name, table->microbatches, microbatches),
                  fmt::format("set {}={} ({})", check.name("training.global_batch_size"),
                              saturatingProduct({table->microbatches, spec.training().micro_batch_size(), data}),
                              check.place("training.global_batch_size")));
    if (!verifyCells(stages, microbatches))
      return false;
    if (!table->hasMessages())
      schedules::addMessages(*table);
    // Messages that are added move cells: those of the file are what its writer can count.
    std::optional<schedules::Defect> defect = schedules::check(*table);
    if (!defect)
      return true;
    return fail(field, fmt::format("the table of {} cannot be run: line {}, {}: {}", name, defect->rank + 1,
                                   describeCell(*table, *defect), defect->message));
  }

  static std::string describeCell(const schedules::Table &table, const schedules::Defect &defect) {
    const std::vector<schedules::Action> &row = table.rows[defect.rank];
    if (defect.column >= static_cast<int32_t>(row.size()))
      return "at its end";
    std::string action = schedules::toString(row[defect.column]);
    return action.empty() ? fmt::format("cell {}", defect.column + 1) : fmt::format("at {}", action);
  }

  /// The best that TorchTitan's two keys can do.
  std::optional<BetterCut> findTorchTitanCut(const ModelWork &work) {
    int64_t layers = countLayers(spec.model()), most = std::min<int64_t>(2 * layers / stages, 64);
    std::vector<int64_t> stageRanks = getStageRanks(parallel);
    std::optional<BetterCut> best;
    for (int64_t first : {0, 1})
      for (int64_t last = 0; last <= most; ++last) {
        std::optional<std::vector<int64_t>> cut = divideLikeTorchTitan(stages, layers, first, last);
        if (!cut || std::any_of(cut->begin() + 1, cut->end() - 1, [](int64_t count) { return count == 0; }))
          continue;
        double imbalance = work.getImbalance(*cut, stageRanks);
        if (!best || imbalance < best->imbalance - 1e-9)
          best = BetterCut{fmt::format("parallelism.pipeline_parallel_first_stage_less_layers={} "
                                       "parallelism.pipeline_parallel_last_stage_less_layers={}",
                                       first, last),
                           imbalance};
      }
    return best;
  }

  std::optional<BetterCut> findCut() {
    // A table that was not checked yet may be of other stages.
    if (stages > countLayers(spec.model()) + 2 || static_cast<int64_t>(getStageRanks(parallel).size()) != stages)
      return std::nullopt;
    ModelWork work(spec);
    if (spec.framework() == "torchtitan")
      return findTorchTitanCut(work);
    if (!isMegatron())
      return std::nullopt;
    std::vector<int64_t> cut = work.divide(stages);
    if (cut.empty())
      return std::nullopt;
    return BetterCut{fmt::format("pipeline_model_parallel_layout='{}'", writeLayout(cut)),
                     work.getImbalance(cut, getStageRanks(parallel))};
  }

  /// Only where the flavour has a way to say a better cut.
  void warnOfUnevenStages() {
    double imbalance = ModelWork(spec).getImbalance(getStageLayers(spec), getStageRanks(parallel));
    std::optional<BetterCut> cut = imbalance > clearlyUneven ? findCut() : std::nullopt;
    if (!cut || imbalance < clearlyUneven * cut->imbalance)
      return;
    const char *field = parallel.stage_layers().empty() ? "parallelism.pipeline" : "parallelism.stage_layers";
    check.diagnostics.warning(check.at(field),
                              fmt::format("the pipeline's stages are uneven: with embedding and loss, one rank has {:.2f} times "
                                          "the mean work of all, and the others wait for it",
                                          imbalance),
                              fmt::format("{} makes that {:.2f}", cut->settings, cut->imbalance));
  }

  SpecChecker &check;
  const spec::TrainingSpec &spec;
  const spec::Parallelism &parallel;
  int64_t ranks, stages = 1;
};

} // namespace

void verifyPipeline(SpecChecker &check) { PipelineVerifier(check).verify(); }

} // namespace primus::config

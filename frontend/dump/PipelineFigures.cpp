//===- PipelineFigures.cpp - How a pipeline spends its time ---------------===//

#include "frontend/dump/PipelineFigures.h"

#include "frontend/config/PipelineStages.h"
#include "frontend/dump/Costs.h"
#include "frontend/dump/PhaseFigures.h"
#include "ir/graph/GraphDialect.h"
#include "passes/LayerFunction.h"
#include "passes/schedules/Check.h"
#include "passes/stages/StageMap.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

using namespace mlir;
using namespace primus;
using namespace primus::cli;
using namespace primus::schedules;
using Json = nlohmann::ordered_json;

/// More cells than this are not drawn: a browser would be slow, and nobody could tell them apart.
static constexpr size_t kMostDrawnCells = 20000;
/// So many of a critical path are listed one by one.
static constexpr size_t kMostListedCells = 4096;

//===----------------------------------------------------------------------===//
// Costs of stages
//===----------------------------------------------------------------------===//

namespace {

/// Sums the costs of the calls in the ranks' programs by stage and kind of cell.
class StageSums {
public:
  StageSums(ModuleOp module, ArrayRef<std::string> first, CostCounter &counter)
      : module(module), counter(counter), sums(first.size(), StageSeconds{0, 0, 0}), isHalved(first.size()) {
    for (auto [stage, instance] : llvm::enumerate(first))
      stageOfFirst[instance] = stage;
  }

  void add(func::FuncOp program) {
    // The calls of a cell stand together, and the first is of the stage's first instance.
    int32_t stage = -1;
    for (auto call : program.getOps<graph::CallOp>()) {
      auto callee = module.lookupSymbol<func::FuncOp>(call.getCallee());
      StringRef part = callee ? getPart(callee) : "";
      if (part.starts_with("forward")) {
        if (auto found = stageOfFirst.find(call.getInstance()); found != stageOfFirst.end())
          stage = found->second;
        if (stage < 0)
          continue;
        stageOfInstance[call.getInstance()] = stage;
        sums[stage].forward += counter.count(*call).seconds;
      } else if (part.starts_with("backward") || part == "accumulate") {
        auto found = stageOfInstance.find(call.getInstance());
        if (found == stageOfInstance.end())
          continue;
        bool isInput = part == "backward_input";
        if (isInput)
          isHalved[found->second] = true;
        (isInput ? sums[found->second].inputGradient : sums[found->second].weightGradient) += counter.count(*call).seconds;
      }
    }
  }

  /// Of one microbatch.
  std::vector<StageSeconds> take(int32_t microbatches) {
    for (auto [stage, sum] : llvm::enumerate(sums)) {
      // What is not divided is waited for as a whole.
      if (!isHalved[stage])
        std::swap(sum.inputGradient, sum.weightGradient);
      sum = {sum.forward / microbatches, sum.inputGradient / microbatches, sum.weightGradient / microbatches};
    }
    return std::move(sums);
  }

private:
  ModuleOp module;
  CostCounter &counter;
  std::vector<StageSeconds> sums;
  std::vector<bool> isHalved;
  llvm::StringMap<int32_t> stageOfFirst, stageOfInstance;
};

} // namespace

/// The largest message of activations or their gradients in a program. Others send variables.
static int64_t getMessageBytes(func::FuncOp program) {
  int64_t bytes = 0;
  for (auto send : program.getOps<graph::SendOp>())
    if (llvm::none_of(send.getValues(), [](Value value) { return value.getDefiningOp<graph::LoadOp>(); }))
      bytes = std::max(bytes, sumBytes(send.getValues().getTypes()));
  return bytes;
}

std::optional<PipelineFigures> PipelineFigures::of(ModuleOp module, StringRef phase, const spec::TrainingSpec &spec) {
  auto pipeline = module->getAttrOfType<DictionaryAttr>(stages::kPipelineAttr);
  auto csv = pipeline ? pipeline.getAs<StringAttr>("table") : StringAttr();
  auto instances = pipeline ? pipeline.getAs<ArrayAttr>("stages") : ArrayAttr();
  SmallVector<func::FuncOp> programs;
  for (Operation *program : getStepPrograms(module))
    if (auto function = dyn_cast<func::FuncOp>(program); function && function->hasAttr(graph::kStageAttr))
      programs.push_back(function);
  if (!csv || !instances || programs.empty())
    return std::nullopt;
  llvm::Expected<Table> table = parseCsv(csv.getValue());
  if (!table) {
    llvm::consumeError(table.takeError());
    return std::nullopt;
  }
  if (!table->hasMessages())
    addMessages(*table);
  if (check(*table) || static_cast<int32_t>(instances.size()) != table->stages)
    return std::nullopt;

  PipelineFigures figures;
  figures.table = std::move(*table);
  figures.phase = phase.str();
  figures.schedule = spec.parallelism().schedule_table().empty() ? config::getScheduleName(spec.parallelism()) : "table";
  for (auto instance : instances.getAsValueRange<StringAttr>())
    figures.first.push_back(instance.str());
  DeviceRates rates(spec.hardware(), module->getAttrOfType<graph::MeshAttr>(graph::kMeshAttr));
  figures.isInSeconds = rates.areKnown();
  CostCounter counter(module, rates);
  StageSums sums(module, figures.first, counter);
  int64_t messageBytes = 0;
  for (func::FuncOp program : programs) {
    sums.add(program);
    messageBytes = std::max(messageBytes, getMessageBytes(program));
  }
  figures.stages = sums.take(figures.table.microbatches);
  figures.messageSeconds = rates.getMessageSeconds(static_cast<double>(messageBytes), "pp");
  figures.timing = simulate(figures.table, figures.stages, figures.messageSeconds);
  return figures;
}

//===----------------------------------------------------------------------===//
// What is shown
//===----------------------------------------------------------------------===//

bool PipelineFigures::isHalved() const {
  return llvm::any_of(stages, [](const StageSeconds &seconds) { return seconds.weightGradient > 0; });
}

double PipelineFigures::getBusy(int32_t rank) const {
  double busy = 0;
  for (auto [action, span] : llvm::zip_equal(table.rows[rank], timing.spans[rank]))
    if (isCompute(action.kind))
      busy += span.end - span.start;
  return busy;
}

Json PipelineFigures::toJson() const {
  Json stageTimes = Json::array(), rankTimes = Json::array(), path = Json::array();
  for (auto [stage, seconds] : llvm::enumerate(stages)) {
    stageTimes.push_back({{"stage", stage},
                          {"rank", table.rankOfStage[stage]},
                          {"first", first[stage]},
                          {"forward", seconds.forward},
                          {"backward", seconds.get(ActionKind::Backward)}});
    if (isHalved())
      stageTimes.back().update({{"input_gradient", seconds.inputGradient}, {"weight_gradient", seconds.weightGradient}});
  }
  for (int32_t rank = 0; rank < table.getRanks(); ++rank) {
    double busy = getBusy(rank);
    rankTimes.push_back({{"rank", rank}, {"busy", busy}, {"bubble", timing.seconds > 0 ? 1 - busy / timing.seconds : 0}});
  }
  for (Timing::Cell cell : ArrayRef(timing.criticalPath).take_front(kMostListedCells))
    path.push_back(toString(table.rows[cell.rank][cell.column]));
  return {{"schedule", schedule},
          {"phase", phase},
          {"unit", isInSeconds ? "seconds" : "operations"},
          {"ranks", table.getRanks()},
          {"stages", table.stages},
          {"microbatches", table.microbatches},
          {"time", timing.seconds},
          {"bubble", timing.bubble},
          {"message_time", messageSeconds},
          {"stage_times", stageTimes},
          {"rank_times", rankTimes},
          {"critical_path", {{"cells", timing.criticalPath.size()}, {"first", path}}}};
}

Json PipelineFigures::toPage() const {
  Json page = toJson();
  size_t count = 0;
  for (const std::vector<Action> &row : table.rows)
    count += llvm::count_if(row, [](const Action &action) { return isCompute(action.kind); });
  page["cell_count"] = count;
  if (count > kMostDrawnCells)
    return page;
  std::vector<std::vector<bool>> isCritical;
  for (const std::vector<Action> &row : table.rows)
    isCritical.emplace_back(row.size());
  for (Timing::Cell cell : timing.criticalPath)
    isCritical[cell.rank][cell.column] = true;
  Json &rows = page["cells"] = Json::array();
  for (auto [row, spans, critical] : llvm::zip_equal(table.rows, timing.spans, isCritical)) {
    Json &cells = rows.emplace_back(Json::array());
    for (auto [column, action] : llvm::enumerate(row)) {
      if (!isCompute(action.kind))
        continue;
      StringRef kind = action.kind == ActionKind::Forward         ? "F"
                       : action.kind == ActionKind::Backward      ? "B"
                       : action.kind == ActionKind::InputGradient ? "I"
                                                                  : "W";
      cells.push_back({kind.str(), action.stage, action.microbatch, spans[column].start, spans[column].end,
                       critical[column] ? 1 : 0});
    }
  }
  return page;
}

/// "12.3 ms", or of operations "1.23e+09".
static std::string formatTime(double time, bool isInSeconds) {
  if (!isInSeconds)
    return fmt::format("{:.3g}", time);
  return time == 0 ? "0" : time < 1e-3 ? fmt::format("{:.3g} us", time * 1e6) : time < 1 ? fmt::format("{:.3g} ms", time * 1e3)
                                                                                          : fmt::format("{:.3g} s", time);
}

std::string PipelineFigures::toText() const {
  auto print = [&](double time) { return formatTime(time, isInSeconds); };
  std::string text = fmt::format("Schedule {}: {} ranks, {} stages, {} microbatches. Costs are those of phase {}{}.\n", schedule,
                                 table.getRanks(), table.stages, table.microbatches, phase,
                                 isInSeconds ? " on the experiment's hardware"
                                             : ", in floating-point operations, as the experiment names no hardware");
  text += fmt::format("The pipeline takes {}; of the ranks' time {:.1f} % is bubble; a message takes {}.\n\n", print(timing.seconds),
                      100 * timing.bubble, print(messageSeconds));
  text += fmt::format("{:>5}  {:>4}  {:<12}  {:>10}  {:>10}{}\n", "stage", "rank", "first", "forward", "backward",
                      isHalved() ? fmt::format("  {:>14}  {:>15}", "input gradient", "weight gradient") : "");
  for (auto [stage, seconds] : llvm::enumerate(stages)) {
    text += fmt::format("{:>5}  {:>4}  {:<12}  {:>10}  {:>10}", stage, table.rankOfStage[stage], first[stage],
                        print(seconds.forward), print(seconds.get(ActionKind::Backward)));
    if (isHalved())
      text += fmt::format("  {:>14}  {:>15}", print(seconds.inputGradient), print(seconds.weightGradient));
    text += "\n";
  }

  // A column is what is most usual.
  std::vector<double> lengths;
  for (auto [row, spans] : llvm::zip_equal(table.rows, timing.spans))
    for (auto [action, span] : llvm::zip_equal(row, spans))
      if (action.kind == ActionKind::Forward && span.end > span.start)
        lengths.push_back(span.end - span.start);
  if (!lengths.empty()) {
    std::nth_element(lengths.begin(), lengths.begin() + lengths.size() / 2, lengths.end());
    double unit = lengths[lengths.size() / 2];
    text += fmt::format("\nA line per rank, time from left to right, a column is {} (one half of the forward passes take no longer):\n{}",
                        print(unit), draw(table, timing, unit));
  }
  auto path = llvm::map_range(timing.criticalPath, [&](Timing::Cell cell) { return toString(table.rows[cell.rank][cell.column]); });
  text += fmt::format("\nThe critical path; each of these starts when the one before it, or its message, is done:\n{}\n",
                      fmt::join(path.begin(), path.end(), " "));
  return text;
}

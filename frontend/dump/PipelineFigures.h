//===- PipelineFigures.h - How a pipeline spends its time ---------*- C++ -*-===//

#pragma once

#include "frontend/config/TrainingSpec.pb.h"
#include "passes/schedules/Simulate.h"

#include "mlir/IR/BuiltinOps.h"

#include <nlohmann/json.hpp>

#include <optional>

namespace primus::cli {

/// The schedule of a module's pipeline, run with what its stages cost on the experiment's hardware.
struct PipelineFigures {
  schedules::Table table;
  /// The instance that each stage begins with.
  std::vector<std::string> first;
  /// Of one microbatch through each stage, and of a message from one to the next.
  std::vector<schedules::StageSeconds> stages;
  double messageSeconds = 0;
  schedules::Timing timing;
  /// Name of the schedule ("table": one of the experiment's own) and of the phase that the costs come from.
  std::string schedule, phase;
  /// Whether times are seconds; where the hardware is not known they are floating-point operations.
  bool isInSeconds = false;

  /// Of a module in phase `placed` or `fused`; nothing where it has no programs of pipeline ranks.
  static std::optional<PipelineFigures> of(mlir::ModuleOp module, llvm::StringRef phase, const spec::TrainingSpec &spec);

  /// For the report: {schedule, phase, unit, ranks, stages, microbatches, time, bubble, message_time, stage_times[],
  /// rank_times[], critical_path}.
  nlohmann::ordered_json toJson() const;
  /// For the page: as in the report, and `cells` per rank, [kind, stage, microbatch, start, end, whether the critical path
  /// goes through it]. Without cells where there are too many to draw.
  nlohmann::ordered_json toPage() const;
  /// For people: the figures, and the table with time from left to right.
  std::string toText() const;

private:
  /// Whether some backward passes are divided into the gradients of inputs and of weights.
  bool isHalved() const;
  /// Time in which a rank computes.
  double getBusy(int32_t rank) const;
};

} // namespace primus::cli

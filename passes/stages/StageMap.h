//===- StageMap.h - What each stage of a pipeline runs -----------*- C++ -*-===//

#pragma once

#include "passes/schedules/Table.h"

#include "ir/graph/GraphDialect.h"

#include "llvm/ADT/MapVector.h"

namespace primus::stages {

/// On a module: {stages = ["embedding", "layers.2", ...], table = "0F0,..."}: the first instance of each stage, and the
/// schedule as CSV (schedules/Table.h). The mesh axis `pp` has a place per row of the table.
inline constexpr llvm::StringLiteral kPipelineAttr = "graph.pipeline";
using schedules::ActionKind;

/// The calls of a program whose microbatches run in a graph.schedule, by what a table says of them.
class StageMap {
public:
  /// Reads the attribute and the program. Errors are located: an instance that does not exist or is out of order, a
  /// value that would have to pass over a stage.
  static mlir::FailureOr<StageMap> get(mlir::func::FuncOp program);

  const schedules::Table &getTable() const { return table; }
  graph::ScheduleOp getSchedule() const { return schedule; }
  /// The stage of an instance; none for the step's own calls ("step").
  std::optional<int32_t> findStage(llvm::StringRef instance) const;
  /// The place in `pp` of an instance's stage; none for the step's own calls ("step"), which all ranks run.
  std::optional<int32_t> findRank(llvm::StringRef instance) const;

  /// Whether an op of the schedule's body is a stage's; others (loads, gathering) are made where they are used.
  bool isOfStage(mlir::Operation *op) const { return stageOfOp.contains(op); }
  /// The ops of the schedule's body that a stage runs forward or backward: calls and the stores of their results, in
  /// order.
  llvm::ArrayRef<mlir::Operation *> getOps(ActionKind kind, int32_t stage) const;
  /// Values of a stage that the stage behind it (Forward) or before it (Backward) uses.
  llvm::ArrayRef<mlir::Value> getMessage(ActionKind kind, int32_t stage) const;

private:
  mlir::LogicalResult readStages(mlir::func::FuncOp program);
  mlir::LogicalResult sortOps();
  mlir::LogicalResult findMessages();

  schedules::Table table;
  graph::ScheduleOp schedule;
  llvm::StringMap<int32_t> stageOfInstance;
  llvm::DenseMap<mlir::Operation *, int32_t> stageOfOp;
  /// Per stage, forward and backward.
  std::vector<llvm::SmallVector<mlir::Operation *>> forward, backward;
  std::vector<llvm::SmallVector<mlir::Value>> activations, gradients;
};

} // namespace primus::stages

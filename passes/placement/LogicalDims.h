//===- LogicalDims.h - From what a dimension is to mesh axes -----*- C++ -*-===//
//
// Phase `model` says what the dimensions of tensors are (`graph.dims`, `graph.pins`, `dims` of variables) and names no
// devices; the plan says which mesh axes split what:
//
//   batch                  dp, fsdp, ep     ranks with sequences of their own
//   sequence               cp               token positions
//   stream                 cp, tp           token positions between blocks; tp with sequence parallelism only
//   heads, ffn, vocabulary tp
//   ""                     none
//
//===----------------------------------------------------------------------===//

#pragma once

#include "passes/Plan.h"
#include "passes/placement/Layout.h"

namespace primus::placement {

class LogicalDims {
public:
  LogicalDims(graph::MeshAttr mesh, const Plan &plan) : mesh(mesh), plan(plan) {}

  /// Checks that the plan has a use for each axis of the mesh that has several ranks.
  mlir::LogicalResult verify(mlir::ModuleOp module) const;

  /// The layout of a tensor whose dimensions are `dims` (null: nothing that is ever split). `emitError` starts the
  /// message where a name is unknown or a dimension does not divide.
  mlir::FailureOr<Layout> getLayout(mlir::ArrayAttr dims, mlir::RankedTensorType type,
                                    llvm::function_ref<mlir::InFlightDiagnostic()> emitError) const;

  /// `layout`, also split over the axes that share state (ZeRO): over as many ranks as its dimensions divide by,
  /// if possible along one dimension, and along the first of several.
  Layout shareState(const Layout &layout, llvm::ArrayRef<int64_t> shape) const;
  /// The axes that share state: those of fsdp, ep and cp that have several ranks.
  Axes getStateAxes() const { return getAxes({"fsdp", "ep", "cp"}); }
  /// All axes that have several ranks, but for pp: tensors of a stage are its ranks' own.
  Axes getAllAxes() const;
  /// Of a value that is the largest of what all these ranks have.
  Layout getMaximum(int64_t rank) const;

private:
  /// Those of the named axes that have several ranks.
  Axes getAxes(llvm::ArrayRef<llvm::StringRef> names) const;
  std::optional<Axes> findAxes(llvm::StringRef dim) const;

  graph::MeshAttr mesh;
  const Plan &plan;
};

} // namespace primus::placement

//===- PhaseVerifiers.h - What each phase promises ---------------*- C++ -*-===//
//
// One file per phase. Each check reports a located error and fails; a phase's check includes nothing of the phases
// before it that still holds by construction.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "ir/graph/GraphDialect.h"

namespace primus {

/// Layers' forward functions and programs of structural ops; no gradient.
mlir::LogicalResult verifyModel(mlir::ModuleOp module);
/// The whole step exists: @train_step, every backward function that is linked, and state that the step changes.
mlir::LogicalResult verifyTrain(mlir::ModuleOp module);
/// As train, and no product is left that asks for another precision than its operands have.
mlir::LogicalResult verifyFp8(mlir::ModuleOp module);
/// verifyLayouts, and each op's types obey its sharding rule: a sum that is missing, or formed twice, is an error.
mlir::LogicalResult verifySharded(mlir::ModuleOp module);
/// As sharded on the shapes of one rank: every change of layout is a collective.
mlir::LogicalResult verifyPlaced(mlir::ModuleOp module);
/// Every op of a layer's function is in a fusion, a collective or a view.
mlir::LogicalResult verifyFused(mlir::ModuleOp module);
/// No graph function is left, no two live buffers overlap, all lie within their regions, and verifyAsynchronous holds.
mlir::LogicalResult verifyStep(mlir::ModuleOp module);

/// Part of verifyModel and verifyTrain: programs hold only structural ops, layers' functions none; what each argument
/// of a layer's function is, is known.
mlir::LogicalResult verifyStructure(mlir::ModuleOp module);
/// Part of verifySharded and verifyPlaced: every tensor has a layout of the module's mesh; programs return no pending
/// sums.
mlir::LogicalResult verifyLayouts(mlir::ModuleOp module);
/// Part of verifySharded and verifyPlaced: each op's types obey its sharding rule. `isLocal`: shapes are those of one rank.
mlir::LogicalResult verifyRules(mlir::ModuleOp module, graph::MeshAttr mesh, bool isLocal);
/// Part of verifyRules: a reshape on the shapes of one rank leaves each rank the elements that it has, or is one of the
/// ways in which a value gets another layout without being moved.
mlir::LogicalResult verifyLocalReshape(graph::ReshapeOp reshape, graph::MeshAttr mesh);
/// The number that an op divides by, if it does that; `op` may be null.
std::optional<double> findDivisor(mlir::Operation *op);
/// Part of verifyStep: each ticket is given out and waited for once, and nothing disturbs a collective that still runs.
mlir::LogicalResult verifyAsynchronous(mlir::ModuleOp module);
/// Calls `check` for every value of a module, with the first failure's result.
mlir::LogicalResult forEachValue(mlir::ModuleOp module, llvm::function_ref<mlir::LogicalResult(mlir::Value)> check);

} // namespace primus

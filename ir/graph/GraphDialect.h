//===- GraphDialect.h - The graph dialect ------------------------*- C++ -*-===//
//
// What to compute: see GraphDialect.td. Sharding rules and costs, which the op interfaces return, are defined here.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/IR/TensorEncoding.h"
#include "mlir/Interfaces/CallInterfaces.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace primus::graph {

/// An einsum-like sharding rule. A factor is an index of the op's iteration space; splitting a factor over a mesh axis
/// splits every dimension that maps to it into that many contiguous blocks. A dimension may be a multiple of its
/// factor, which then is its major part (query heads of grouped attention, a reshaped dimension). The sizes of a
/// factor's dimensions must divide evenly.
struct ShardingRule {
  /// Per operand (result), per dimension: the factor it maps to, or `replicated` if it must not be split.
  static constexpr int64_t replicated = -1;
  llvm::SmallVector<llvm::SmallVector<int64_t>> operands, results;
  /// Per factor: its size, and whether the op sums (maximises) over it, so that splitting it makes those results
  /// partial that lack it. Splitting a factor that is not reduced leaves results that lack it whole.
  llvm::SmallVector<int64_t> sizes;
  llvm::SmallVector<bool> reduced;
  /// The op is linear in each of these operands: it may be a partial sum (at most one at a time) and the result then is.
  /// `add` is linear in all of them at once, which `jointlyLinear` says: all are partial or none.
  llvm::SmallVector<int64_t> linear;
  bool jointlyLinear = false;
  /// Reduced factors are maximised instead of summed.
  bool maximum = false;
};

/// Cost of one op: floating-point operations (a multiply-add is two, a transcendental function one) and bytes read plus
/// written, without any reuse. Operations are those of the model: what a gradient computes a second time of its own
/// accord does not count, and of a causal mask's pairs half do.
struct Cost {
  int64_t flops = 0;
  int64_t bytes = 0;
};

/// Names of attributes that the dialect gives to builtin and func ops.
/// Mesh of a module (#graph.mesh).
inline constexpr llvm::StringLiteral kMeshAttr = "graph.mesh";
/// On a module: DictionaryAttr of what the passes need to know of the run (see passes/Plan.h).
inline constexpr llvm::StringLiteral kPlanAttr = "graph.plan";
/// On a function's result: index (i64) of the argument over which it may be written.
inline constexpr llvm::StringLiteral kInplaceAttr = "graph.inplace";
/// On a function: which part of a layer it is, e.g. {layer = "block", part = "forward"}.
inline constexpr llvm::StringLiteral kLayerAttr = "graph.layer";
/// On a function's argument or result: ArrayAttr of strings, what each dimension is (see graph.variable's `dims`).
inline constexpr llvm::StringLiteral kDimsAttr = "graph.dims";
/// On a layer's forward function: DictionaryAttr from the names of activations (their NameLoc) to such arrays, where the
/// split does not follow from what they are computed from.
inline constexpr llvm::StringLiteral kPinsAttr = "graph.pins";
/// On a module, a unit: shapes are those of one rank (phase `placed` and later).
inline constexpr llvm::StringLiteral kPlacedAttr = "graph.placed";
/// On a program: the place in the mesh axis `pp` whose ranks run it.
inline constexpr llvm::StringLiteral kStageAttr = "graph.stage";

class Localizer;

/// Clones `op` onto one rank's operands and result types: the default of Shardable::localize.
llvm::SmallVector<mlir::Value> cloneLocally(mlir::Operation *op, mlir::OpBuilder &builder, mlir::ValueRange operands,
                                            mlir::TypeRange resultTypes);

} // namespace primus::graph

#include "ir/graph/GraphDialect.h.inc"
#include "ir/graph/GraphEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "ir/graph/GraphAttrs.h.inc"
#include "ir/graph/GraphInterfaces.h.inc"
#define GET_OP_CLASSES
#include "ir/graph/GraphOps.h.inc"

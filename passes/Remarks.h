//===- Remarks.h - What passes tell people of their choices ------*- C++ -*-===//
//
// Passes leave remarks (mlir/IR/Remarks.h) on what they chose and what they could not do, per layer's function. `--explain` prints them by category.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Remarks.h"

namespace primus {

/// Categories; what each is about is the title under which `--explain` lists it (frontend/cli/RemarkLog.cpp).
inline constexpr llvm::StringLiteral kChunkingRemark = "chunking";
inline constexpr llvm::StringLiteral kResidualRemark = "residual";
inline constexpr llvm::StringLiteral kRecomputeRemark = "recompute";
inline constexpr llvm::StringLiteral kFusionMissedRemark = "fusion-missed";
inline constexpr llvm::StringLiteral kFusionRecomputeRemark = "fusion-recompute";
inline constexpr llvm::StringLiteral kPackingRemark = "packing";
inline constexpr llvm::StringLiteral kInplaceRemark = "in-place";
inline constexpr llvm::StringLiteral kInplaceMissedRemark = "in-place-missed";
inline constexpr llvm::StringLiteral kOverlapRemark = "overlap";
inline constexpr llvm::StringLiteral kOverlapMissedRemark = "overlap-missed";
inline constexpr llvm::StringLiteral kPlacementRemark = "placement";
inline constexpr llvm::StringLiteral kCollectiveRemark = "collective";

/// "%attention.q (graph.matmul)": what a value is called, and what computes it.
std::string describe(mlir::Value value);
/// The same of an op's first result.
std::string describe(mlir::Operation *op);

/// A remark on a choice: `text` says what was done, and what it costs or saves in bytes.
void remarkPassed(llvm::StringLiteral category, mlir::FunctionOpInterface function, mlir::Location loc, int64_t bytes,
                  llvm::function_ref<std::string()> text);
/// A remark on what could not be done: `text` says what, and why.
void remarkMissed(llvm::StringLiteral category, mlir::FunctionOpInterface function, mlir::Location loc, int64_t bytes,
                  llvm::function_ref<std::string()> text);

} // namespace primus

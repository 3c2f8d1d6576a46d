//===- MatmulProblem.h - The normal form of matmuls --------------*- C++ -*-===//
//
// FormFusions brings every matmul into the form [batch, m, k] x [batch, k, n]; PackOperands replaces its right operand by a packed one. In the body
// of a fusion the product then reads
//
//   (pad %a to a multiple of the group)  reshape -> [batch, m, k / group, group]
//   graph.matmul "bmkg,bpkwg->bmpw"      with the packed operand [batch, n / width, k / group, width, group]
//   reshape -> [batch, m, n padded]      (slice -> [batch, m, n])
//
//===----------------------------------------------------------------------===//

#pragma once

#include "passes/kernels/KernelFamily.h"

namespace primus::kernels {

inline constexpr llvm::StringLiteral kPackedSpec = "bmkg,bpkwg->bmpw";
/// The left operand as it is read: the contracted dimension contiguous. A transposed left operand is copied.
inline constexpr llvm::StringLiteral kLeftRows = "bmk", kLeftColumns = "bkm";
inline constexpr llvm::StringLiteral kRightRows = "bkn", kRightColumns = "bnk";
/// Of a product whose factors change along k; the right operand may have rows of k.
inline constexpr llvm::StringLiteral kScaledSpec = "bmk,bnk->bmn", kScaledRowsSpec = "bmk,bkn->bmn";
/// Values of k that share a power of two which matrix instructions apply, and of what k is a multiple then.
inline constexpr int64_t kPowerBlock = 32, kPowerStep = 128;
/// Values of k that share a factor of f32 which a dot applies to their sum.
inline constexpr int64_t kSumBlock = 128;

struct MatmulProblem {
  /// The left operand outside of the product's own reshapes, and the right one; packed or not.
  mlir::Value left, right;
  /// [batch, m, n].
  mlir::Value result;
  int64_t batch, m, n, k;
  /// Of a packed right operand: columns of a panel and rows that are neighbours; 0 if it is not packed.
  int64_t width = 0, group = 0;
  /// Of a product that is not packed: the left operand is [batch, k, m], the right one [batch, n, k].
  bool leftColumns = false, rightColumns = false;
  /// Of a graph.scaled_matmul, whose blocks are of one of the two sizes above: the operands' factors, [batch, m, k / block] and [batch, n / factorColumns, k / block], the
  /// latter two exchanged where the right operand is [batch, k, n].
  mlir::Value leftFactor, rightFactor;
  int64_t block = 0, factorColumns = 1;
  /// Ops that belong to the product, for a packed one.
  llvm::SmallVector<mlir::Operation *> ops;

  /// The problem of a product in normal form, or std::nullopt.
  static std::optional<MatmulProblem> match(graph::MatmulOp op);
  static std::optional<MatmulProblem> match(graph::ScaledMatmulOp op);
};

/// Builds the product of `left` [batch, m, k] and a packed operand, of which `n` columns count; see above.
mlir::Value buildPackedMatmul(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value left, mlir::Value packed, int64_t n,
                              mlir::Type element);

} // namespace primus::kernels

//===- QuantisedProducts.h - Products of quantised tensors -------*- C++ -*-===//

#pragma once

#include "ir/kernel/TargetTraits.h"

#include "mlir/IR/PatternMatch.h"

namespace primus::fusion {

/// Replaces graph.scaled_matmul where it is more than its definition, a product of what both operands stand for in f32:
///
/// - Factors that do not change along the contraction (of a whole tensor, or of rows) leave the sum: a product of 8-bit
///   floats, whose epilogue multiplies by them.
/// - On GPUs that multiply these 8-bit floats, factors of blocks of k, those of the left operand for each row, stay with
///   the product; it becomes one of kScaledSpec (kernels/MatmulProblem.h), which has a kernel.
/// - Other factors that are powers of two leave a number of 8 bits one of bf16, which matrix instructions and processors
///   multiply faster than f32.
void populateQuantisedProductPatterns(mlir::RewritePatternSet &patterns, const kernel::TargetTraits &traits);

/// Whether a product is in the form that has a kernel on the target.
bool isNormalScaledMatmul(mlir::Operation *op, const kernel::TargetTraits &traits);

} // namespace primus::fusion

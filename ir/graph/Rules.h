//===- Rules.h - Short notations for sharding rules and costs ----*- C++ -*-===//
//
// For the definitions of the ops' interface methods.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "ir/graph/GraphDialect.h"

namespace primus::graph {

/// The rule that one string per operand and per result describes: a letter per dimension names its factor, '.' is a
/// dimension that must not be split. A factor that a result lacks, though an operand has it, is reduced; its size is
/// the smallest among its dimensions.
ShardingRule makeRule(mlir::Operation *op, llvm::ArrayRef<std::string> operands, llvm::ArrayRef<std::string> results,
                      llvm::ArrayRef<int64_t> linear = {}, bool jointlyLinear = false);

/// `count` letters, from `first` on.
std::string letters(int64_t count, char first = 'a');

/// The letters of all dimensions of `value` but the last `count`.
std::string leadingLetters(mlir::Value value, int64_t count);

/// Every dimension of every operand and result is the same factor. Scalars take part whole.
ShardingRule elementwiseRule(mlir::Operation *op, llvm::ArrayRef<int64_t> linear = {}, bool jointlyLinear = false);

/// Number of elements of a value.
int64_t countElements(mlir::Value value);

/// The operands and results once each, and that many floating-point operations.
Cost makeCost(mlir::Operation *op, int64_t flops);

/// That many operations for each element of the first result.
Cost elementwiseCost(mlir::Operation *op, int64_t flopsPerElement = 1);

} // namespace primus::graph

//===- Primitives.h - What each primitive computes ---------------*- C++ -*-===//
//
// The meaning of the graph dialect's primitives, in doubles. One entry of a table per op; a new primitive is one
// function and one line in the table of its file.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "ir/interpreter/Tensor.h"

#include "mlir/IR/Operation.h"

#include "llvm/ADT/StringMap.h"

namespace primus::interpreter {

/// Computes an op's results from its operands. `results` come with shape, type and zeros. Sums are formed in f64; the
/// caller rounds.
using Primitive = mlir::LogicalResult (*)(mlir::Operation *op, llvm::ArrayRef<const Tensor *> operands,
                                          llvm::MutableArrayRef<Tensor> results);
using PrimitiveTable = llvm::StringMap<Primitive>;

/// The function of a primitive by the op's name, or null if it is none.
Primitive findPrimitive(llvm::StringRef name);

/// Files' contributions to the table.
void addElementwisePrimitives(PrimitiveTable &table);
void addShapePrimitives(PrimitiveTable &table);
void addContractionPrimitives(PrimitiveTable &table);

/// Adds an op with a typed function, e.g. add<graph::ReduceOp, evaluateReduce>(table).
template <typename OpT, mlir::LogicalResult (*function)(OpT, llvm::ArrayRef<const Tensor *>, Tensor &)>
void add(PrimitiveTable &table) {
  table[OpT::getOperationName()] = [](mlir::Operation *op, llvm::ArrayRef<const Tensor *> operands,
                                      llvm::MutableArrayRef<Tensor> results) {
    return function(mlir::cast<OpT>(op), operands, results.front());
  };
}

} // namespace primus::interpreter

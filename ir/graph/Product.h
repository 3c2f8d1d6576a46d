//===- Product.h - What products in einsum notation share --------*- C++ -*-===//

#pragma once

#include "ir/graph/GraphDialect.h"

namespace primus::graph {

/// (C1) to (C4) of graph.matmul for the operands and the only result of `op`.
mlir::LogicalResult verifyProduct(mlir::Operation *op, llvm::StringRef spec, mlir::Value lhs, mlir::Value rhs);

/// Operands and the result once each, and a multiply-add per product; the left factor is the first operand.
Cost productCost(mlir::Operation *op, llvm::StringRef spec);

} // namespace primus::graph

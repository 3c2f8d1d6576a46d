//===- ExtraPasses.h - What 8-bit products cost beside themselves -*- C++ -*-===//

#pragma once

#include "ir/graph/GraphDialect.h"

namespace primus::fusion {

/// Of a module (i64): the products of quantised tensors that its functions have.
inline constexpr llvm::StringLiteral kQuantisedProductsAttr = "graph.quantised_products";

/// Why a kernel exists that only gets operands of 8-bit products into shape, or nothing if it is none of these. Such a kernel
/// does nothing but measure (largest values), scale and round, reorder or restore a tensor, which a kernel that computes the tensor
/// or reads it might have done on the way. What only combines a few measured values of another kernel does not count, nor does the
/// one kernel that reads a weight in the type of the optimizer and makes its first narrower copy, in 8 bits or in 16: without 8-bit
/// products there would be one, too.
std::optional<llvm::StringRef> explainExtraPass(graph::FusionOp fusion);

} // namespace primus::fusion

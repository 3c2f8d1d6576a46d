//===- KernelDialect.h - The kernel dialect ----------------------*- C++ -*-===//

#pragma once

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "ir/kernel/KernelDialect.h.inc"
#include "ir/kernel/KernelEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "ir/kernel/KernelAttrs.h.inc"
#define GET_OP_CLASSES
#include "ir/kernel/KernelOps.h.inc"

namespace primus::kernel {

/// On an arith.mulf of a tile with a broadcast: that one is 1 nearly always, so that a target may branch around the product.
inline constexpr llvm::StringLiteral kMostlyOneAttr = "kernel.mostly_one";

} // namespace primus::kernel

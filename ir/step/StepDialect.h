//===- StepDialect.h - The step dialect --------------------------*- C++ -*-===//

#pragma once

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "ir/step/StepDialect.h.inc"
#include "ir/step/StepEnums.h.inc"
#define GET_OP_CLASSES
#include "ir/step/StepOps.h.inc"

namespace primus::step {
/// On a program's argument: the #graph.layout of the tensor of which it is a rank's part; none if every rank holds all of it.
inline constexpr llvm::StringLiteral kLayoutAttr = "step.layout";

/// Bytes of a packed buffer; i1 takes a byte.
int64_t getByteSize(mlir::MemRefType type);
} // namespace primus::step

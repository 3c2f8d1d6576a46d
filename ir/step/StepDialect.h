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
#include "ir/step/StepInterfaces.h.inc"
#define GET_OP_CLASSES
#include "ir/step/StepOps.h.inc"

namespace primus::step {
/// On a program's argument: the #graph.layout of the tensor of which it is a rank's part; none if every rank holds all of it.
inline constexpr llvm::StringLiteral kLayoutAttr = "step.layout";

/// On a variable: its byte offset in the arena; in a pipeline its offsets by place in the axis `pp`, -1 where it is not.
inline constexpr llvm::StringLiteral kOffsetAttr = "step.offset", kOffsetsAttr = "step.offsets";

/// The place in the axis `pp` of the ranks that run a program; none if all do.
std::optional<int64_t> getStage(mlir::Operation *program);

/// A planned variable's byte offset in the arena of the ranks with that place in `pp`; none if they do not have it.
std::optional<int64_t> getOffset(mlir::Operation *variable, std::optional<int64_t> stage = std::nullopt);

/// Bytes of a packed buffer; i1 takes a byte.
int64_t getByteSize(mlir::MemRefType type);
} // namespace primus::step

//===- ModuleText.h - Modules as people read them -----------------*- C++ -*-===//
//
// In dumps values are named after their locations (`%attention.q`), and no location is spelled out: parsing gives each value the location of its
// name again. The embedded TrainingSpec, long and a text of its own, stands behind the module, as a resource.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace llvm {
class SourceMgr;
} // namespace llvm

namespace primus::cli {

/// The module's text. Where names alone could not be told apart from the numbers that make them unique, locations are part of it.
std::string printModule(mlir::ModuleOp module);

/// Reads what printModule wrote (or any other text of one module), with names and the embedded spec as they were. Null after errors.
mlir::OwningOpRef<mlir::ModuleOp> parseModule(llvm::SourceMgr &sources, mlir::MLIRContext *context);

} // namespace primus::cli

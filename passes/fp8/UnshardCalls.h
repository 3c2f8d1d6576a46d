//===- UnshardCalls.h - What the calls of `unshard` need ----------*- C++ -*-===//

#pragma once

#include "ir/graph/GraphDialect.h"

namespace primus::fp8 {

/// Lets `unshard` return the largest values of the weights, which it reads anyway, and erases `measure`, the part that computes them:
/// if each of its calls has one of `unshard` before it, in the same block, for the same instance and of the same variables. Otherwise,
/// as where every microbatch gathers the weights anew, nothing changes. What both compute is left twice. Returns whether they are one.
bool measureInUnshard(mlir::func::FuncOp measure, mlir::func::FuncOp unshard);

/// Calls of `unshard` that need a part of its results only get a function that computes no others. `forward` is the layer's.
void specialiseUnshard(mlir::func::FuncOp unshard, mlir::func::FuncOp forward);

} // namespace primus::fp8

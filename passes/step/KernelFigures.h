//===- KernelFigures.h - What people want to know of kernels ------*- C++ -*-===//

#pragma once

#include "passes/kernels/KernelFamily.h"

namespace primus::step {

/// Names of the attributes that setKernelFigures gives to a kernel: FLOPs and bytes of one launch (i64), the name of the graph function
/// that defines what the kernel computes, and the name of the family that generated it.
inline constexpr llvm::StringLiteral kFlopsAttr = "kernel.flops";
inline constexpr llvm::StringLiteral kBytesAttr = "kernel.bytes";
inline constexpr llvm::StringLiteral kDefinedByAttr = "kernel.defined_by";
inline constexpr llvm::StringLiteral kFamilyAttr = "kernel.family";
/// Of kernels that only get operands of 8-bit products into shape: why they are there (fusion/ExtraPasses.h).
inline constexpr llvm::StringLiteral kExtraPassAttr = "kernel.extra_pass";

/// Notes on the kernels of a lowered fusion what they cost. FLOPs are those of the fusion's ops, divided among its kernels as the arithmetic
/// of their tile programs is. Bytes are those of the arguments, each once; a kernel that is one op has that op's cost, as a gather reads
/// less than its table.
void setKernelFigures(graph::FusionOp fusion, const kernels::LoweredFusion &lowered);

/// Names a kernel's arguments after the values that its launch passes, and no other value: tile programs read best with numbers.
void nameArguments(graph::FusionOp fusion, const kernels::Launch &launch);

} // namespace primus::step

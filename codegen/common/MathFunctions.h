//===- MathFunctions.h - Elementary functions in f32 -------------*- C++ -*-===//

#pragma once

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace primus::codegen {

/// Expansions of the `math` dialect's functions for f32 scalars and vectors, so that a kernel calls no library. Largest errors
/// measured over all inputs of interest (tests/codegen/cpu/MathFunctionsTest.cpp), in units in the last place: exp 1, exp2 1,
/// expm1 2, log 1, log1p 2, tanh 3, erf 2, rsqrt 1, sigmoid-like compositions accordingly. Infinities, NaN and subnormal numbers are treated as
/// by the C library, except that subnormal results may be one unit off.
///
/// `scale` gives x 2^n for a whole number n in [-252, 254], as f32 and as i32, where the target has an instruction for it.
///
/// Null when `op` is not such a function.
using ScaleByPower = llvm::function_ref<mlir::Value(mlir::Value x, mlir::Value number, mlir::Value integer)>;
mlir::Value expandMathFunction(mlir::ImplicitLocOpBuilder &b, mlir::Operation *op, mlir::ValueRange operands,
                               ScaleByPower scale = {});

} // namespace primus::codegen

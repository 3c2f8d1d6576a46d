//===- Float8.h - Conversions of 8-bit floats --------------------*- C++ -*-===//
//
// In registers and in memory an 8-bit float is its bits, an i8. Formats (OCP, "8-bit Floating Point Specification" and
// "Microscaling Formats"; AMD, "AMD Instinct MI300 Instruction Set Architecture", for the fnuz ones):
//
//                 exponent bias  infinity  NaN                 largest  negative zero
//   f8E4M3FN                  7  no        exponent, mantissa      448  yes
//                                          all ones
//   f8E5M2                   15  as IEEE   as IEEE               57344  yes
//   f8E4M3FNUZ                8  no        0x80                    240  no
//   f8E5M2FNUZ               16  no        0x80                  57344  no
//   f8E8M0FNU               127  no        0xff                 2^127   no sign, no zero: a power of two
//
//===----------------------------------------------------------------------===//

#pragma once

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace primus::codegen {

/// Whether a type, or a vector's or tile's element, is a float of 8 bits.
bool isFloat8(mlir::Type type);

/// `bits`, a scalar or a vector of i8, as f32, exactly. A NaN gives some NaN.
mlir::Value expandFloat8ToF32(mlir::ImplicitLocOpBuilder &b, mlir::Value bits, mlir::FloatType format);

/// A scalar or a vector of f32 rounded as graph.convert does, as i8: to the nearest number of `format`, ties to even;
/// what lies beyond the largest one becomes it. To f8E8M0FNU it is rounded down, and what is below the smallest number
/// becomes that.
mlir::Value expandF32ToFloat8(mlir::ImplicitLocOpBuilder &b, mlir::Value value, mlir::FloatType format);

} // namespace primus::codegen

//===- Mfma.h - The matrix instructions of AMD GPUs --------------*- C++ -*-===//
//
// D = A B + C on one block of `size` rows and columns, spread over the 64 lanes of a wave:
//
//   A: lane l holds row l % size,    and the `perLane` values of k from perLane (l / size) on
//   B: lane l holds column l % size, and the same values of k
//   C, D: lane l, register r:  size 32: row 8 (r / 4) + 4 (l / 32) + r % 4,  column l % 32
//                              size 16: row 4 (l / 16) + r,                  column l % 16
//
// As A and B number k alike, any order of k may be given to them, as long as it is the same for both. With A and B
// exchanged the result is transposed: a lane then holds one row, and four neighbouring columns in four registers.
// Scaled instructions on 8-bit elements take k in chunks of 16: half h of a lane's elements are those from
// 16 (64 / size) h + 16 (l / size) on. Lane l has the factors of row (of A) or column (of B) l % size for values of k from
// 32 (l / size) on.
//
// Sources: AMD, "AMD Instinct MI300 Instruction Set Architecture" and "AMD Instinct CDNA4 Instruction Set Architecture",
// chapters on matrix arithmetic; AMD's Matrix Instruction Calculator, `-a cdna3|cdna4 -i NAME --detail-instruction`
// (layouts, execution cycles).
//
//===----------------------------------------------------------------------===//

#pragma once

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace primus::codegen::hip {

/// One instruction that multiplies floats and accumulates in f32.
struct Mfma {
  /// Fp8 and Bf8 have three and two bits of mantissa: the formats of OCP on gfx950, the fnuz ones on gfx942.
  enum Element { F32, F16, Bf16, Fp8, Bf8 };

  /// As assembly spells it, and LLVM's intrinsic.
  llvm::StringLiteral mnemonic, intrinsic;
  /// Of A and of B.
  Element left, right;
  /// Rows of A and columns of B.
  int64_t size;
  /// Columns of A, rows of B.
  int64_t depth;
  /// For which one instruction occupies its SIMD's matrix unit.
  int64_t cycles;
  bool onGfx942;
  /// Formats are operands of the instruction, and so are scales.
  bool isScaled = false;

  /// Elements of each operand in a lane, neighbours along the contraction.
  int64_t perLane() const { return depth * size / 64; }
  /// Accumulators in a lane.
  int64_t results() const { return size * size / 64; }
};

/// All that are used, the fastest of an element and size last.
llvm::ArrayRef<Mfma> getMfmas();

/// The fastest instruction of a chip (gfx942 or gfx950) for blocks of 32 or 16 rows and columns, A of elements `left` and
/// B of elements `right`; null where the chip multiplies no such elements.
const Mfma *findMfma(llvm::StringRef chip, mlir::Type left, mlir::Type right, int64_t size);

/// Powers of two for 32 values of k each, of rows of A and columns of B: words, of which a byte counts (Mfma.cpp).
struct MfmaFactors {
  mlir::Value left, right;
  int64_t byte = 0;
};

/// acc + lhs rhs; lhs and rhs are vectors of `perLane` elements, as bits (i8) where these are 8-bit floats; acc one of
/// `results` f32.
mlir::Value emitMfma(mlir::ImplicitLocOpBuilder &b, const Mfma &mfma, mlir::Value lhs, mlir::Value rhs,
                     mlir::Value acc, const MfmaFactors &factors = {});

} // namespace primus::codegen::hip

//===- Matrix.h - Shapes and register layouts of MFMA -------------*- C++ -*-===//
//
// D = A B + C for `blocks` independent products of M x K and K x N. All lanes take part, whatever the execution mask.
//
// Sources: "AMD Instinct MI300 Instruction Set Architecture" and "AMD Instinct CDNA4 Instruction Set Architecture",
// chapters on matrix arithmetic instructions, and the output of AMD's Matrix Instruction Calculator for CDNA 3
// (`matrix_calculator.py -a cdna3 -i INSTRUCTION --register-layout`). With G = 64 / (M blocks) groups of lanes per block,
// and n = K / G elements of A in each lane, packed from the low bits of its first register:
//
//   A: lane l, element e:   block (l / M) / G, i = l % M, k = n ((l / M) % G) + e
//   B: lane l, element e:   the same with j = l % N for i
//   C, D: lane l, register r of a block (registers of block b follow those of block b - 1):
//     M = 32:  i = 8 (r / 4) + 4 (l / 32) + r % 4,  j = l % 32
//     M = 16:  i = 4 (l / 16) + r,                  j = l % 16
//     M = 4:   i = r,                               j = l % 4,   block l / 4 (no registers of further blocks)
//
// As A and B number k alike, nothing depends on the order of k, except where a scale belongs to 32 neighbours in k: lane l
// has that of row (A) or column (B) l % M for block l / M of k. Elements of f8f6f4 instructions that are bytes come in two
// halves of 16, k = 16 (G (e / 16) + l / M) + e % 16 ("Matrix Core Programming on AMD CDNA 3 and CDNA 4", AMD's ROCm blogs).
//
//===----------------------------------------------------------------------===//

#pragma once

#include <cstdint>

namespace primus::emulator {

enum class MatrixFormat : uint8_t { F32, F16, Bf16, Fp8, Bf8, I8, F8f6f4 };

struct MatrixShape {
  const char *name; ///< the mnemonic
  unsigned m, n, k, blocks;
  MatrixFormat a, b;
  bool isGfx950 = false; ///< not on gfx942

  constexpr unsigned groups() const { return 64 / (m * blocks); }
  constexpr unsigned elements() const { return k / groups(); }
  constexpr unsigned results() const { return m * n * blocks / 64; }
  constexpr double flops() const { return 2.0 * m * n * k * blocks; }
};

/// Shapes are square in M and N.
inline constexpr MatrixShape kMatrixShapes[] = {
    {"v_mfma_f32_32x32x1_2b_f32", 32, 32, 1, 2, MatrixFormat::F32, MatrixFormat::F32},
    {"v_mfma_f32_16x16x1_4b_f32", 16, 16, 1, 4, MatrixFormat::F32, MatrixFormat::F32},
    {"v_mfma_f32_4x4x1_16b_f32", 4, 4, 1, 16, MatrixFormat::F32, MatrixFormat::F32},
    {"v_mfma_f32_32x32x2_f32", 32, 32, 2, 1, MatrixFormat::F32, MatrixFormat::F32},
    {"v_mfma_f32_16x16x4_f32", 16, 16, 4, 1, MatrixFormat::F32, MatrixFormat::F32},
    {"v_mfma_f32_32x32x4_2b_f16", 32, 32, 4, 2, MatrixFormat::F16, MatrixFormat::F16},
    {"v_mfma_f32_16x16x4_4b_f16", 16, 16, 4, 4, MatrixFormat::F16, MatrixFormat::F16},
    {"v_mfma_f32_4x4x4_16b_f16", 4, 4, 4, 16, MatrixFormat::F16, MatrixFormat::F16},
    {"v_mfma_f32_32x32x8_f16", 32, 32, 8, 1, MatrixFormat::F16, MatrixFormat::F16},
    {"v_mfma_f32_16x16x16_f16", 16, 16, 16, 1, MatrixFormat::F16, MatrixFormat::F16},
    {"v_mfma_f32_32x32x4_2b_bf16", 32, 32, 4, 2, MatrixFormat::Bf16, MatrixFormat::Bf16},
    {"v_mfma_f32_16x16x4_4b_bf16", 16, 16, 4, 4, MatrixFormat::Bf16, MatrixFormat::Bf16},
    {"v_mfma_f32_4x4x4_16b_bf16", 4, 4, 4, 16, MatrixFormat::Bf16, MatrixFormat::Bf16},
    {"v_mfma_f32_32x32x8_bf16", 32, 32, 8, 1, MatrixFormat::Bf16, MatrixFormat::Bf16},
    {"v_mfma_f32_16x16x16_bf16", 16, 16, 16, 1, MatrixFormat::Bf16, MatrixFormat::Bf16},
    {"v_mfma_f32_16x16x32_fp8_fp8", 16, 16, 32, 1, MatrixFormat::Fp8, MatrixFormat::Fp8},
    {"v_mfma_f32_16x16x32_fp8_bf8", 16, 16, 32, 1, MatrixFormat::Fp8, MatrixFormat::Bf8},
    {"v_mfma_f32_16x16x32_bf8_fp8", 16, 16, 32, 1, MatrixFormat::Bf8, MatrixFormat::Fp8},
    {"v_mfma_f32_16x16x32_bf8_bf8", 16, 16, 32, 1, MatrixFormat::Bf8, MatrixFormat::Bf8},
    {"v_mfma_f32_32x32x16_fp8_fp8", 32, 32, 16, 1, MatrixFormat::Fp8, MatrixFormat::Fp8},
    {"v_mfma_f32_32x32x16_fp8_bf8", 32, 32, 16, 1, MatrixFormat::Fp8, MatrixFormat::Bf8},
    {"v_mfma_f32_32x32x16_bf8_fp8", 32, 32, 16, 1, MatrixFormat::Bf8, MatrixFormat::Fp8},
    {"v_mfma_f32_32x32x16_bf8_bf8", 32, 32, 16, 1, MatrixFormat::Bf8, MatrixFormat::Bf8},
    {"v_mfma_i32_32x32x4_2b_i8", 32, 32, 4, 2, MatrixFormat::I8, MatrixFormat::I8},
    {"v_mfma_i32_16x16x4_4b_i8", 16, 16, 4, 4, MatrixFormat::I8, MatrixFormat::I8},
    {"v_mfma_i32_4x4x4_16b_i8", 4, 4, 4, 16, MatrixFormat::I8, MatrixFormat::I8},
    {"v_mfma_i32_32x32x16_i8", 32, 32, 16, 1, MatrixFormat::I8, MatrixFormat::I8},
    {"v_mfma_i32_16x16x32_i8", 16, 16, 32, 1, MatrixFormat::I8, MatrixFormat::I8},
    {"v_mfma_f32_32x32x16_f16", 32, 32, 16, 1, MatrixFormat::F16, MatrixFormat::F16, true},
    {"v_mfma_f32_16x16x32_f16", 16, 16, 32, 1, MatrixFormat::F16, MatrixFormat::F16, true},
    {"v_mfma_f32_32x32x16_bf16", 32, 32, 16, 1, MatrixFormat::Bf16, MatrixFormat::Bf16, true},
    {"v_mfma_f32_16x16x32_bf16", 16, 16, 32, 1, MatrixFormat::Bf16, MatrixFormat::Bf16, true},
    {"v_mfma_i32_32x32x32_i8", 32, 32, 32, 1, MatrixFormat::I8, MatrixFormat::I8, true},
    {"v_mfma_i32_16x16x64_i8", 16, 16, 64, 1, MatrixFormat::I8, MatrixFormat::I8, true},
    {"v_mfma_f32_32x32x64_f8f6f4", 32, 32, 64, 1, MatrixFormat::F8f6f4, MatrixFormat::F8f6f4, true},
    {"v_mfma_f32_16x16x128_f8f6f4", 16, 16, 128, 1, MatrixFormat::F8f6f4, MatrixFormat::F8f6f4, true},
    {"v_mfma_scale_f32_32x32x64_f8f6f4", 32, 32, 64, 1, MatrixFormat::F8f6f4, MatrixFormat::F8f6f4, true},
    {"v_mfma_scale_f32_16x16x128_f8f6f4", 16, 16, 128, 1, MatrixFormat::F8f6f4, MatrixFormat::F8f6f4, true},
};

} // namespace primus::emulator

//===- MatrixTest.cpp - Every MFMA shape against a product in double ------===//

#include "tests/emulator/TestCode.h"

#include "tests/emulator/Matrix.h"

#include "llvm/ADT/APFloat.h"
#include "llvm/Support/FormatVariadic.h"

#include <gtest/gtest.h>

#include <bit>
#include <random>

using namespace llvm;
using namespace primus::emulator;

namespace {
struct Format {
  unsigned bits;
  const fltSemantics *semantics; ///< null: signed integers
};

Format getFormat(MatrixFormat format, Chip chip) {
  bool isFnuz = chip == Chip::Gfx942;
  switch (format) {
  case MatrixFormat::F32:
    return {32, &APFloat::IEEEsingle()};
  case MatrixFormat::F16:
    return {16, &APFloat::IEEEhalf()};
  case MatrixFormat::Bf16:
    return {16, &APFloat::BFloat()};
  case MatrixFormat::Fp8:
  case MatrixFormat::F8f6f4: // numbered 0
    return {8, isFnuz ? &APFloat::Float8E4M3FNUZ() : &APFloat::Float8E4M3FN()};
  case MatrixFormat::Bf8:
    return {8, isFnuz ? &APFloat::Float8E5M2FNUZ() : &APFloat::Float8E5M2()};
  case MatrixFormat::I8:
    return {8, nullptr};
  }
  return {};
}

/// A small random number, exactly representable, and its bits.
struct Element {
  uint32_t bits;
  double value;
};
Element makeElement(const Format &format, std::mt19937 &random) {
  int integer = int(random() % 15) - 7;
  if (!format.semantics)
    return {uint32_t(integer) & 0xff, double(integer)};
  APFloat value(double(integer) / 4);
  bool lossy;
  value.convert(*format.semantics, APFloat::rmNearestTiesToEven, &lossy);
  return {uint32_t(value.bitcastToAPInt().getZExtValue()), double(integer) / 4};
}

/// Lane, register and bits of an element of A (`row` = i) or B (`row` = j): written from the tables in AMD's manuals, not from
/// the emulator's formulas.
struct Place {
  unsigned lane, word, shift;
};
Place getOperandPlace(unsigned m, unsigned blocks, unsigned depth, unsigned bits, unsigned block, unsigned row, unsigned k) {
  unsigned perLane = m * depth * blocks / 64, chunk = k / perLane, inside = k % perLane;
  // With one block the lanes beyond the rows continue in k, with several they are the next blocks.
  unsigned lane = blocks == 1 ? row + m * chunk : row + m * block;
  return {lane, inside * bits / 32, inside * bits % 32};
}
Place getResultPlace(unsigned m, unsigned block, unsigned i, unsigned j) {
  switch (m) {
  case 32: // rows 0-3, 8-11, 16-19, 24-27 in the low lanes, the others in the high ones
    return {j + (i & 4 ? 32 : 0), block * 16 + (i & 3) + (i >> 3) * 4, 0};
  case 16: // four rows in each quarter of the lanes
    return {j + (i & 12) * 4, block * 4 + (i & 3), 0};
  default:
    return {block * 4 + j, i, 0};
  }
}

class Matrix : public testing::TestWithParam<std::tuple<Chip, unsigned>> {};

/// The instruction with operands in accumulation registers or not, and C given or not.
void check(Chip chip, const MatrixShape &shape, bool inAccumulators, bool hasC) {
  std::mt19937 random(shape.m + shape.k);
  Format a = getFormat(shape.a, chip), b = getFormat(shape.b, chip);
  unsigned operandWords = shape.m * shape.k * shape.blocks / 64 * a.bits / 32, results = shape.m * shape.n * shape.blocks / 64;
  if (operandWords == 0)
    operandWords = 1;
  std::vector<uint32_t> inputs(64 * 2 * operandWords);
  std::vector<double> left(shape.blocks * shape.m * shape.k), right(shape.blocks * shape.n * shape.k);
  for (unsigned block = 0; block < shape.blocks; ++block)
    for (unsigned row = 0; row < shape.m; ++row)
      for (unsigned k = 0; k < shape.k; ++k) {
        Element x = makeElement(a, random), y = makeElement(b, random);
        Place place = getOperandPlace(shape.m, shape.blocks, shape.k, a.bits, block, row, k);
        inputs[place.word * 64 + place.lane] |= x.bits << place.shift;
        inputs[(operandWords + place.word) * 64 + place.lane] |= y.bits << place.shift;
        left[(block * shape.m + row) * shape.k + k] = x.value;
        right[(block * shape.n + row) * shape.k + k] = y.value;
      }
  // C is the lane's number times four, or absent; D goes out as it lies.
  auto range = [](const char *file, unsigned first, unsigned count) {
    return count == 1 ? formatv("{0}{1}", file, first).str() : formatv("{0}[{1}:{2}]", file, first, first + count - 1).str();
  };
  std::string text = "s_load_dwordx4 s[4:7], s[0:1], 0x0\nv_lshlrev_b32_e32 v1, 2, v0\ns_waitcnt lgkmcnt(0)\n";
  for (unsigned word = 0; word < 2 * operandWords; ++word)
    text += formatv("global_load_dword v{0}, v1, s[4:5] offset:{1}\n", 10 + word, 256 * word);
  text += "s_waitcnt vmcnt(0)\n";
  bool isInteger = shape.a == MatrixFormat::I8;
  text += isInteger ? "v_mov_b32 v2, v1\n" : "v_cvt_f32_u32 v2, v1\n";
  for (unsigned word = 0; word < results; ++word)
    text += formatv(inAccumulators ? "v_accvgpr_write_b32 a{0}, v2\n" : "v_mov_b32 v{0}, v2\n", 100 + word);
  if (inAccumulators)
    for (unsigned word = 0; word < 2 * operandWords; ++word)
      text += formatv("v_accvgpr_write_b32 a{0}, v{0}\n", 10 + word);
  const char *file = inAccumulators ? "a" : "v";
  std::string d = range(file, 100, results);
  text += formatv("{0} {1}, {2}, {3}, {4}", shape.name, d, range(file, 10, operandWords),
                  range(file, 10 + operandWords, operandWords), hasC ? d : "0");
  text += "\ns_nop 15\n";
  for (unsigned word = 0; word < results; ++word) {
    if (inAccumulators)
      text += formatv("v_accvgpr_read_b32 v{0}, a{0}\n", 100 + word);
    if (word && word % 8 == 0)
      text += "s_add_u32 s6, s6, 0x800\ns_addc_u32 s7, s7, 0\n";
    text += formatv("global_store_dword v1, v{0}, s[6:7] offset:{1}\n", 100 + word, 256 * (word % 8));
  }
  Buffer in("in", ArrayRef<uint32_t>(inputs)), out("out", 256 * results);
  CodeObject object = assembleKernel(chip, {text});
  auto statistics = launch(object, "k", {1}, {64}, {KernelArgument::pointer(in, Access::Read), KernelArgument::pointer(out, Access::Write)});
  ASSERT_TRUE(bool(statistics)) << toString(statistics.takeError());
  EXPECT_EQ(statistics->matrixFlops, 2.0 * shape.m * shape.n * shape.k * shape.blocks);
  std::vector<uint32_t> words = out.read<uint32_t>();
  for (unsigned block = 0; block < shape.blocks; ++block)
    for (unsigned i = 0; i < shape.m; ++i)
      for (unsigned j = 0; j < shape.n; ++j) {
        Place place = getResultPlace(shape.m, block, i, j);
        double expected = hasC ? 4.0 * place.lane : 0;
        for (unsigned k = 0; k < shape.k; ++k)
          expected += left[(block * shape.m + i) * shape.k + k] * right[(block * shape.n + j) * shape.k + k];
        uint32_t bits = words[place.word * 64 + place.lane];
        // All values and sums are exact here, so the result is.
        double actual = isInteger ? double(int32_t(bits)) : double(std::bit_cast<float>(bits));
        ASSERT_EQ(actual, expected) << shape.name << " block " << block << " row " << i << " column " << j;
      }
}
} // namespace

TEST_P(Matrix, isTheProduct) {
  auto [chip, index] = GetParam();
  const MatrixShape &shape = kMatrixShapes[index];
  check(chip, shape, /*inAccumulators=*/false, /*hasC=*/true);
  check(chip, shape, /*inAccumulators=*/true, /*hasC=*/false);
}

static std::vector<std::tuple<Chip, unsigned>> getShapes() {
  std::vector<std::tuple<Chip, unsigned>> all;
  for (unsigned index = 0; index < std::size(kMatrixShapes); ++index)
    for (Chip chip : {Chip::Gfx942, Chip::Gfx950})
      // Those with scales have a test of their own.
      if ((chip == Chip::Gfx950 || !kMatrixShapes[index].isGfx950) && !StringRef(kMatrixShapes[index].name).contains("scale"))
        all.emplace_back(chip, index);
  return all;
}
INSTANTIATE_TEST_SUITE_P(Shapes, Matrix, testing::ValuesIn(getShapes()), [](const auto &info) {
  return (getChipName(std::get<0>(info.param)) + "_" + kMatrixShapes[std::get<1>(info.param)].name).str();
});

/// Bytes of A and B are 1, in lane groups and halves that differ; scales differ by row and block of k.
TEST(MatrixScaled, scalesBelongTo32NeighboursOfFp8) {
  // A's first half of each lane is 1 (0x38), its second one 2 (0x40): k from 0 to 31, and from 32 to 63. Scales of A are 1 in the lanes
  // below 32, which are those of the first 32, and 8 in the others; those of B's column j are 2^(j % 4).
  std::string text = R"(
s_load_dwordx4 s[4:7], s[0:1], 0x0
v_lshlrev_b32_e32 v1, 2, v0
v_mov_b32 v10, 0x38383838
v_mov_b32 v11, v10
v_mov_b32 v12, v10
v_mov_b32 v13, v10
v_mov_b32 v14, 0x40404040
v_mov_b32 v15, v14
v_mov_b32 v16, v14
v_mov_b32 v17, v14
v_mov_b32 v20, v10
v_mov_b32 v21, v10
v_mov_b32 v22, v10
v_mov_b32 v23, v10
v_mov_b32 v24, v10
v_mov_b32 v25, v10
v_mov_b32 v26, v10
v_mov_b32 v27, v10
v_lshrrev_b32 v30, 5, v0
v_mul_u32_u24 v30, 3, v30
v_add_u32 v30, 127, v30
v_and_b32 v31, 3, v0
v_add_u32 v31, 127, v31
v_mfma_scale_f32_32x32x64_f8f6f4 v[40:55], v[10:17], v[20:27], 0, v30, v31 op_sel_hi:[0,0,0]
s_nop 15
s_waitcnt lgkmcnt(0)
global_store_dword v1, v47, s[6:7])";
  Buffer in("in", 4), out("out", 256);
  auto statistics = launch(assembleKernel(Chip::Gfx950, {text}), "k", {1}, {64},
                           {KernelArgument::pointer(in, Access::Read), KernelArgument::pointer(out, Access::Write)});
  ASSERT_TRUE(bool(statistics)) << toString(statistics.takeError());
  std::vector<float> values = out.read<float>();
  for (unsigned lane = 0; lane < 64; ++lane)
    EXPECT_EQ(values[lane], (32 * 1 * 1 + 32 * 2 * 8) * float(1u << lane % 4)) << lane;
}

TEST(MatrixScaled, scalesBelongToLanesOfFp4) {
  // Every element of A is 1.5 (0x3) and of B is 2 (0x4); lane groups have different scales for A.
  std::string text = R"(
s_load_dwordx4 s[4:7], s[0:1], 0x0
v_lshlrev_b32_e32 v1, 2, v0
v_mov_b32 v10, 0x33333333
v_mov_b32 v11, v10
v_mov_b32 v12, v10
v_mov_b32 v13, v10
v_mov_b32 v14, 0x44444444
v_mov_b32 v15, v14
v_mov_b32 v16, v14
v_mov_b32 v17, v14
v_lshrrev_b32 v20, 4, v0
v_add_u32 v20, 127, v20
v_lshlrev_b32 v20, 8, v20
v_mov_b32 v21, 0x7e
v_mfma_scale_f32_16x16x128_f8f6f4 v[40:43], v[10:13], v[14:17], 0, v20, v21 op_sel:[1,0,0] op_sel_hi:[0,0,0] cbsz:4 blgp:4
s_nop 15
s_waitcnt lgkmcnt(0)
global_store_dword v1, v41, s[6:7])";
  Buffer in("in", 4), out("out", 256);
  auto statistics = launch(assembleKernel(Chip::Gfx950, {text}), "k", {1}, {64},
                           {KernelArgument::pointer(in, Access::Read), KernelArgument::pointer(out, Access::Write)});
  ASSERT_TRUE(bool(statistics)) << toString(statistics.takeError());
  // 32 products of 3 in each of four groups, scaled by 1, 2, 4, 8 and by a half.
  for (float value : out.read<float>())
    EXPECT_EQ(value, 32 * 3 * (1 + 2 + 4 + 8) * 0.5f);
}

/// Random bytes and scales of either format, in both shapes: each element is multiplied by the scale of its row (or column) and of the
/// 32 values of k that it is one of.
TEST(MatrixScaled, isTheProductOfScaledBytes) {
  for (auto [rows, depth, name] : {std::tuple(32u, 64u, "v_mfma_scale_f32_32x32x64_f8f6f4"), {16u, 128u, "v_mfma_scale_f32_16x16x128_f8f6f4"}})
    for (unsigned formats = 0; formats < 4; ++formats) {
      std::mt19937 random(rows + formats);
      Format left = getFormat(formats & 1 ? MatrixFormat::Bf8 : MatrixFormat::Fp8, Chip::Gfx950);
      Format right = getFormat(formats & 2 ? MatrixFormat::Bf8 : MatrixFormat::Fp8, Chip::Gfx950);
      // Words 0 to 7 of A, 8 to 15 of B, then a word of scales for each.
      std::vector<uint32_t> inputs(64 * 18);
      std::vector<double> a(rows * depth), b(rows * depth);
      unsigned groups = 64 / rows;
      for (unsigned row = 0; row < rows; ++row)
        for (unsigned k = 0; k < depth; ++k) {
          Element x = makeElement(left, random), y = makeElement(right, random);
          // Runs of 16 values of k go around the groups of lanes, twice.
          unsigned lane = row + rows * (k / 16 % groups), byte = 16 * (k / 16 / groups) + k % 16;
          inputs[byte / 4 * 64 + lane] |= x.bits << 8 * (byte % 4);
          inputs[(8 + byte / 4) * 64 + lane] |= y.bits << 8 * (byte % 4);
          a[row * depth + k] = x.value;
          b[row * depth + k] = y.value;
        }
      // The second byte of A's scales and the fourth one of B's count.
      for (unsigned row = 0; row < rows; ++row)
        for (unsigned block = 0; block < depth / 32; ++block) {
          int scaleA = int(random() % 7) - 3, scaleB = int(random() % 7) - 3;
          inputs[16 * 64 + row + rows * block] = random() & 0xffff00ff | uint32_t(127 + scaleA) << 8;
          inputs[17 * 64 + row + rows * block] = random() & 0x00ffffff | uint32_t(127 + scaleB) << 24;
          for (unsigned k = 32 * block; k < 32 * block + 32; ++k) {
            a[row * depth + k] = std::ldexp(a[row * depth + k], scaleA);
            b[row * depth + k] = std::ldexp(b[row * depth + k], scaleB);
          }
        }
      std::string text = "s_load_dwordx4 s[4:7], s[0:1], 0x0\nv_lshlrev_b32_e32 v1, 2, v0\ns_waitcnt lgkmcnt(0)\n";
      for (unsigned word = 0; word < 18; ++word) {
        if (word && word % 8 == 0)
          text += "s_add_u32 s4, s4, 0x800\ns_addc_u32 s5, s5, 0\n";
        text += formatv("global_load_dword v{0}, v1, s[4:5] offset:{1}\n", 10 + word, 256 * (word % 8));
      }
      unsigned results = rows * rows / 64;
      text += formatv("s_waitcnt vmcnt(0)\n{0} v[40:{1}], v[10:17], v[18:25], 0, v26, v27 op_sel:[1,1,0] op_sel_hi:[0,1,0] cbsz:{2} blgp:{3}\n"
                      "s_nop 15\n",
                      name, 40 + results - 1, formats & 1, formats >> 1);
      for (unsigned word = 0; word < results; ++word) {
        if (word && word % 8 == 0)
          text += "s_add_u32 s6, s6, 0x800\ns_addc_u32 s7, s7, 0\n";
        text += formatv("global_store_dword v1, v{0}, s[6:7] offset:{1}\n", 40 + word, 256 * (word % 8));
      }
      Buffer in("in", ArrayRef<uint32_t>(inputs)), out("out", 256 * results);
      auto statistics = launch(assembleKernel(Chip::Gfx950, {text}), "k", {1}, {64},
                               {KernelArgument::pointer(in, Access::Read), KernelArgument::pointer(out, Access::Write)});
      ASSERT_TRUE(bool(statistics)) << toString(statistics.takeError());
      std::vector<float> values = out.read<float>();
      for (unsigned i = 0; i < rows; ++i)
        for (unsigned j = 0; j < rows; ++j) {
          Place place = getResultPlace(rows, 0, i, j);
          double expected = 0;
          for (unsigned k = 0; k < depth; ++k)
            expected += a[i * depth + k] * b[j * depth + k];
          ASSERT_EQ(double(values[place.word * 64 + place.lane]), expected) << name << " formats " << formats << " row " << i << " column " << j;
        }
    }
}

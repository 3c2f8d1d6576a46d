//===- Matrix.cpp - Matrix multiplication by a wave -----------------------===//
//
// In each register of C and D, the lanes of one row lie side by side, and so do those of B for one k: the product is a
// sum of scaled rows. Sums run in the order of k, in float with fused multiply-adds; what the hardware does inside one
// instruction is not documented, so results agree to a tolerance only.
//
//===----------------------------------------------------------------------===//

#include "tests/emulator/Matrix.h"
#include "tests/emulator/Lanes.h"

#include "llvm/ADT/Twine.h"

using namespace primus::emulator;

namespace {
constexpr unsigned kMaxElements = 32;
/// Element e of every lane.
template <typename T>
using Elements = std::array<std::array<T, kLanes>, kMaxElements>;

using SmallTable = std::array<float, 256>;
SmallTable makeTable(const SmallFormat &format) {
  SmallTable table{};
  for (unsigned bits = 0; bits < 1u << format.bits(); ++bits)
    table[bits] = fromSmall(format, bits);
  return table;
}

/// The tables of one-byte (and smaller) formats, by the numbers that f8f6f4 instructions have for them.
const SmallTable &getTable(unsigned format) {
  static const SmallTable tables[] = {makeTable(kFp8Ocp), makeTable(kBf8Ocp), makeTable(kFp6), makeTable(kBf6), makeTable(kFp4)};
  return tables[format];
}
unsigned getBits(unsigned format) { return format < 2 ? 8 : format < 4 ? 6 : 4; }

const SmallTable &getTable(MatrixFormat format, Chip chip) {
  static const SmallTable fp8 = makeTable(kFp8Fnuz), bf8 = makeTable(kBf8Fnuz);
  bool isFp8 = format == MatrixFormat::Fp8;
  return chip == Chip::Gfx942 ? (isFp8 ? fp8 : bf8) : getTable(isFp8 ? 0 : 1);
}

/// Unpacks an operand. `small`: the number of an f8f6f4 format. Returns the lanes that hold poison.
template <typename T>
LaneMask unpack(const Wave &wave, const Operand &operand, MatrixFormat format, unsigned small, unsigned count, Elements<T> &elements) {
  LaneMask dirty = 0;
  for (unsigned word = 0; word < operand.words; ++word)
    dirty |= wave.vector[operand.index + word].dirty;
  auto word = [&](unsigned index) -> const std::array<uint32_t, kLanes> & { return wave.vector[operand.index + index].lanes; };
  for (unsigned e = 0; e < count; ++e) {
    auto &out = elements[e];
    switch (format) {
    case MatrixFormat::F32:
      for (unsigned lane = 0; lane < kLanes; ++lane)
        out[lane] = T(std::bit_cast<float>(word(e)[lane]));
      break;
    case MatrixFormat::F16:
      for (unsigned lane = 0; lane < kLanes; ++lane)
        out[lane] = T(fromHalf(word(e / 2)[lane] >> (16 * (e % 2))));
      break;
    case MatrixFormat::Bf16:
      for (unsigned lane = 0; lane < kLanes; ++lane)
        out[lane] = T(fromBfloat(word(e / 2)[lane] >> (16 * (e % 2))));
      break;
    case MatrixFormat::I8:
      for (unsigned lane = 0; lane < kLanes; ++lane)
        out[lane] = T(int8_t(word(e / 4)[lane] >> (8 * (e % 4))));
      break;
    case MatrixFormat::Fp8:
    case MatrixFormat::Bf8: {
      const SmallTable &table = getTable(format, wave.chip);
      for (unsigned lane = 0; lane < kLanes; ++lane)
        out[lane] = T(table[word(e / 4)[lane] >> (8 * (e % 4)) & 0xff]);
      break;
    }
    case MatrixFormat::F8f6f4: {
      const SmallTable &table = getTable(small);
      unsigned bits = getBits(small), first = e * bits, index = first / 32, shift = first % 32;
      bool crosses = shift + bits > 32;
      for (unsigned lane = 0; lane < kLanes; ++lane) {
        uint64_t pair = word(index)[lane] | (crosses ? uint64_t(word(index + 1)[lane]) << 32 : 0);
        out[lane] = T(table[pair >> shift & ((1u << bits) - 1)]);
      }
      break;
    }
    }
  }
  return dirty;
}

/// The k of a lane's element of an f8f6f4 instruction: one byte each, they come in halves of 16.
unsigned getDepth(const MatrixShape &shape, unsigned bits, unsigned lane, unsigned e) {
  unsigned group = lane / shape.m;
  return bits == 8 ? 16 * (shape.groups() * (e / 16) + group) + e % 16 : shape.elements() * group + e;
}

/// One scale per lane, 2^(byte - 127), multiplied into the 32 elements of k that it is for; a byte of 255 is a NaN.
bool applyScale(Wave &wave, const Instruction &instruction, unsigned k, unsigned bits, Elements<float> &elements) {
  // The first half of the encoding holds the scales: op_sel in bits 11 and 12, op_sel_hi in 59 and 60.
  unsigned byte = instruction.bits(11 + k, 1) | instruction.bits(59 + k, 1) << 1;
  RawSource<uint32_t> source;
  LaneMask mask = ~LaneMask(0);
  readSource(wave, instruction, 3 + k, false, source, mask);
  if (source.dirty) {
    wave.fail("a scale was never written");
    return false;
  }
  const MatrixShape &shape = *instruction.matrix;
  for (unsigned lane = 0; lane < kLanes; ++lane)
    for (unsigned e = 0; e < shape.elements(); ++e) {
      unsigned row = lane % shape.m, block = getDepth(shape, bits, lane, e) / 32;
      unsigned exponent = source.bits[row + shape.m * block] >> (8 * byte) & 0xff;
      elements[e][lane] *= exponent == 255 ? std::numeric_limits<float>::quiet_NaN() : float(std::ldexp(1.0, int(exponent) - 127));
    }
  return true;
}

/// Register and first lane of a row of C and D.
struct Row {
  unsigned word, lane;
};
template <unsigned M>
Row getRow(unsigned block, unsigned i) {
  if constexpr (M == 32)
    return {16 * block + 4 * (i / 8) + i % 4, 32 * (i / 4 % 2)};
  else if constexpr (M == 16)
    return {4 * block + i % 4, 16 * (i / 4)};
  else
    return {i, 4 * block};
}

inline float multiplyAdd(float a, float b, float c) { return std::fma(a, b, c); }
inline int32_t multiplyAdd(int32_t a, int32_t b, int32_t c) { return int32_t(uint32_t(a) * uint32_t(b) + uint32_t(c)); }

template <unsigned M, typename T>
void multiply(const MatrixShape &shape, const Elements<T> &a, const Elements<T> &b, std::array<std::array<T, kLanes>, 32> &sums) {
  unsigned groups = shape.groups(), count = shape.elements();
  for (unsigned block = 0; block < shape.blocks; ++block)
    for (unsigned i = 0; i < M; ++i) {
      Row row = getRow<M>(block, i);
      T sum[M];
      T *place = &sums[row.word][row.lane];
      std::copy_n(place, M, sum);
      for (unsigned group = 0; group < groups; ++group) {
        unsigned lane = M * (block * groups + group);
        for (unsigned e = 0; e < count; ++e) {
          T left = a[e][lane + i];
          const T *right = &b[e][lane];
          for (unsigned j = 0; j < M; ++j)
            sum[j] = multiplyAdd(left, right[j], sum[j]);
        }
      }
      std::copy_n(sum, M, place);
    }
}

/// Rows of A and columns of B that hold poison, spread over D.
void spreadPoison(const MatrixShape &shape, LaneMask a, LaneMask b, std::array<LaneMask, 32> &dirty) {
  unsigned groups = shape.groups();
  for (unsigned block = 0; block < shape.blocks; ++block)
    for (unsigned i = 0; i < shape.m; ++i) {
      Row row = shape.m == 32 ? getRow<32>(block, i) : shape.m == 16 ? getRow<16>(block, i) : getRow<4>(block, i);
      for (unsigned j = 0; j < shape.n; ++j)
        for (unsigned group = 0; group < groups; ++group) {
          unsigned lane = shape.m * (block * groups + group);
          if ((a >> (lane + i) & 1) || (b >> (lane + j) & 1))
            dirty[row.word] |= LaneMask(1) << (row.lane + j);
        }
    }
}

template <typename T>
void matrix(Wave &wave, const Instruction &instruction) {
  const MatrixShape &shape = *instruction.matrix;
  bool isScaled = instruction.bytes == 16, isSmall = shape.a == MatrixFormat::F8f6f4;
  // Of a scaled instruction the second half is the multiplication.
  uint64_t encoding = isScaled ? instruction.second : instruction.encoding;
  unsigned cbsz = encoding >> 8 & 7, abid = encoding >> 11 & 15, blgp = encoding >> 61;
  if (isSmall) {
    if (cbsz > 4 || blgp > 4 || getBits(cbsz) != getBits(blgp))
      return wave.fail("the emulator does not know products of formats of different sizes");
    if (isScaled && getBits(cbsz) == 6)
      return wave.fail("the emulator knows no scales of 6-bit formats");
  } else if (cbsz || abid || blgp) {
    return wave.fail("the emulator does not know broadcasts (cbsz, abid, blgp)");
  }

  static thread_local Elements<T> a, b;
  LaneMask dirtyA = unpack(wave, instruction.sources[0], shape.a, cbsz, shape.elements(), a);
  LaneMask dirtyB = unpack(wave, instruction.sources[1], shape.b, blgp, shape.elements(), b);
  if constexpr (std::is_same_v<T, float>)
    if (isScaled && (!applyScale(wave, instruction, 0, getBits(cbsz), a) || !applyScale(wave, instruction, 1, getBits(blgp), b)))
      return;

  alignas(64) std::array<std::array<T, kLanes>, 32> sums;
  std::array<LaneMask, 32> dirty{};
  const Operand &c = instruction.sources[2];
  for (unsigned word = 0; word < shape.results(); ++word) {
    if (c.kind == Operand::Vector) {
      const VectorRegister &reg = wave.vector[c.index + word];
      std::memcpy(&sums[word], reg.lanes.data(), sizeof sums[word]);
      dirty[word] = reg.dirty;
    } else {
      sums[word].fill(std::bit_cast<T>(uint32_t(wave.readScalar(c).bits)));
    }
  }
  if (shape.m == 32)
    multiply<32>(shape, a, b, sums);
  else if (shape.m == 16)
    multiply<16>(shape, a, b, sums);
  else
    multiply<4>(shape, a, b, sums);
  if (dirtyA | dirtyB)
    spreadPoison(shape, dirtyA, dirtyB, dirty);
  std::array<uint32_t, kLanes> result, shadow;
  shadow.fill(~0u);
  for (unsigned word = 0; word < shape.results(); ++word) {
    std::memcpy(result.data(), &sums[word], sizeof result);
    wave.writeVector(instruction.results[0].index + word, result.data(), ~LaneMask(0), dirty[word], shadow.data());
  }
}
} // namespace

void primus::emulator::addMatrixOperations(OperationTable &table) {
  for (const MatrixShape &shape : kMatrixShapes)
    if (!shape.isGfx950 || table.chip == Chip::Gfx950)
      table.add(shape.name, {shape.a == MatrixFormat::I8 ? matrix<int32_t> : matrix<float>, InstructionClass::Matrix, true, &shape});
}

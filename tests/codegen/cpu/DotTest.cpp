//===- DotTest.cpp - Matrix products of tiles against plain loops ---------===//

#include "tests/codegen/cpu/RunKernel.h"

#include "llvm/Support/FormatVariadic.h"

#include <random>

using namespace primus;
using namespace primus::test;

namespace {

struct DotCase {
  /// The buffers' sizes, the tile's, and how much of k one dot takes.
  int64_t m, n, k, tileM, tileN, tileK;
  bool bf16 = false;
  /// The right operand is packed in groups of 2 (bf16), in panels of tileN columns.
  bool packed = false;
  /// The left operand lies as [k, m].
  bool transposed = false;
  /// The operands pass through arithmetic before the dot, so that they are not read where they lie.
  bool computed = false;
};

std::ostream &operator<<(std::ostream &stream, const DotCase &c) {
  return stream << c.m << "x" << c.n << "x" << c.k << " tile " << c.tileM << "x" << c.tileN << "x" << c.tileK
                << (c.bf16 ? " bf16" : "") << (c.packed ? " packed" : "") << (c.transposed ? " transposed" : "")
                << (c.computed ? " computed" : "");
}

/// A loop over k of dots of one block of the result.
std::string makeKernel(const DotCase &c) {
  std::string type = c.bf16 ? "bf16" : "f32";
  int64_t group = c.packed ? 2 : 1, panels = llvm::divideCeil(c.n, c.tileN);
  std::string a = c.transposed ? llvm::formatv("memref<{0}x{1}x{2}>", c.k, c.m, type).str()
                               : llvm::formatv("memref<{0}x{1}x{2}>", c.m, c.k, type).str();
  std::string b = c.packed ? llvm::formatv("memref<{0}x{1}x{2}x{3}>", panels, llvm::divideCeil(c.k, 2), c.tileN * 2, type).str()
                           : llvm::formatv("memref<{0}x{1}x{2}>", c.k, c.n, type).str();
  std::string tileA = llvm::formatv("tensor<{0}x{1}x{2}>", c.tileM, c.tileK, type);
  std::string tileB = llvm::formatv("tensor<{0}x{1}x{2}>", llvm::divideCeil(c.tileK, group), c.tileN * group, type);
  std::string tileC = llvm::formatv("tensor<{0}x{1}xf32>", c.tileM, c.tileN);
  std::string source = llvm::formatv(R"(
    kernel.func @k(%a: {0}, %b: {1}, %c: memref<{2}x{3}xf32>) grid [{4}, {5}] {{
      %c0 = arith.constant 0 : index
      %tm = arith.constant {6} : index
      %tn = arith.constant {7} : index
      %tk = arith.constant {8} : index
      %k = arith.constant {9} : index
      %group = arith.constant {10} : index
      %zero = arith.constant dense<0.0> : {11}
      %p = kernel.program_id 0
      %q = kernel.program_id 1
      %i = arith.muli %p, %tm : index
      %j = arith.muli %q, %tn : index
      %sum = scf.for %l = %c0 to %k step %tk iter_args(%acc = %zero) -> ({11}) {{
        %lg = arith.divui %l, %group : index
)",
                                     a, b, c.m, c.n, llvm::divideCeil(c.m, c.tileM), panels, c.tileM, c.tileN, c.tileK, c.k,
                                     group, tileC);
  source += c.transposed ? llvm::formatv("%x = kernel.load %a[%l, %i] dims [1, 0] : {0} -> {1}\n", a, tileA)
                         : llvm::formatv("%x = kernel.load %a[%i, %l] dims [0, 1] : {0} -> {1}\n", a, tileA);
  source += c.packed ? llvm::formatv("%y = kernel.load %b[%q, %lg, %c0] dims [1, 2] : {0} -> {1}\n", b, tileB)
                     : llvm::formatv("%y = kernel.load %b[%l, %j] dims [0, 1] : {0} -> {1}\n", b, tileB);
  std::string x = "%x", y = "%y";
  if (c.computed) {
    source += llvm::formatv("%xn = arith.negf %x : {0}\n%yn = arith.negf %y : {1}\n", tileA, tileB);
    x = "%xn", y = "%yn";
  }
  source += llvm::formatv("%d = kernel.dot {0}, {1}, %acc {{group = {2} : i64} : {3}, {4} -> {5}\n", x, y, group, tileA, tileB, tileC);
  source += llvm::formatv(R"(
        scf.yield %d : {0}
      }
      kernel.store %sum, %c[%i, %j] dims [0, 1] : {0}, memref<{1}x{2}xf32>
      kernel.return
    })",
                          tileC, c.m, c.n);
  return source;
}

class DotTest : public testing::TestWithParam<DotCase> {};

/// Numbers in memory, with NaN on both sides: what lies outside a buffer must not matter.
template <typename T> struct Guarded {
  explicit Guarded(size_t size) : storage(size + 2 * margin) {
    std::memset(storage.data(), 0xff, storage.size() * sizeof(T));
  }
  T *data() { return storage.data() + margin; }
  static constexpr size_t margin = 1024;
  std::vector<T> storage;
};

} // namespace

TEST_P(DotTest, AgreesWithPlainLoops) {
  const DotCase &c = GetParam();
  std::mt19937 random(7);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> a(c.m * c.k), b(c.k * c.n);
  for (std::vector<float> *list : {&a, &b})
    for (float &x : *list)
      x = c.bf16 ? bf16ToFloat(floatToBf16(uniform(random))) : uniform(random);
  int64_t panels = llvm::divideCeil(c.n, c.tileN), pairs = llvm::divideCeil(c.k, 2);
  Guarded<float> a32(c.m * c.k), b32(c.k * c.n);
  Guarded<uint16_t> a16(c.m * c.k), b16(c.packed ? panels * pairs * 2 * c.tileN : c.k * c.n);
  for (int64_t i = 0; i < c.m; ++i)
    for (int64_t l = 0; l < c.k; ++l) {
      int64_t at = c.transposed ? l * c.m + i : i * c.k + l;
      a32.data()[at] = a[i * c.k + l];
      a16.data()[at] = floatToBf16(a[i * c.k + l]);
    }
  if (c.packed)
    std::fill_n(b16.data(), panels * pairs * 2 * c.tileN, 0);
  for (int64_t l = 0; l < c.k; ++l)
    for (int64_t j = 0; j < c.n; ++j) {
      b32.data()[l * c.n + j] = b[l * c.n + j];
      int64_t at = c.packed ? ((j / c.tileN * pairs + l / 2) * c.tileN + j % c.tileN) * 2 + l % 2 : l * c.n + j;
      b16.data()[at] = floatToBf16(b[l * c.n + j]);
    }

  std::string source = makeKernel(c);
  for (const codegen::CpuTarget &target : allTargets()) {
    Guarded<float> out(c.m * c.n);
    void *pa = c.bf16 ? static_cast<void *>(a16.data()) : a32.data(), *pb = c.bf16 ? static_cast<void *>(b16.data()) : b32.data();
    runKernel(source, {pa, pb, out.data()}, target);
    for (int64_t i = 0; i < c.m; ++i)
      for (int64_t j = 0; j < c.n; ++j) {
        double sum = 0;
        for (int64_t l = 0; l < c.k; ++l)
          sum += double(a[i * c.k + l]) * b[l * c.n + j];
        ASSERT_NEAR(out.data()[i * c.n + j], sum, 1e-6 * (10 + c.k)) << i << ", " << j << " " << target.featureString();
      }
    // Nothing is written beside the result.
    EXPECT_TRUE(std::isnan(out.data()[-1]) && std::isnan(out.data()[c.m * c.n]));
  }
}

INSTANTIATE_TEST_SUITE_P(F32, DotTest,
                         testing::Values(DotCase{16, 64, 64, 8, 32, 64}, DotCase{16, 64, 50, 8, 32, 50},
                                         DotCase{16, 64, 131, 8, 32, 32}, DotCase{13, 97, 24, 8, 32, 24},
                                         DotCase{13, 97, 131, 8, 32, 64}, DotCase{5, 24, 7, 8, 32, 16},
                                         DotCase{8, 24, 24, 4, 24, 24}, DotCase{12, 64, 33, 12, 64, 8},
                                         DotCase{1, 97, 64, 1, 64, 64}, DotCase{9, 3, 20, 8, 4, 20},
                                         DotCase{16, 1, 40, 8, 1, 40}, DotCase{20, 1, 1, 20, 1, 1}));
INSTANTIATE_TEST_SUITE_P(F32Transposed, DotTest,
                         testing::Values(DotCase{16, 64, 64, 8, 32, 64, false, false, true},
                                         DotCase{13, 97, 131, 8, 32, 64, false, false, true}));
INSTANTIATE_TEST_SUITE_P(F32Computed, DotTest,
                         testing::Values(DotCase{16, 64, 64, 8, 32, 64, false, false, false, true},
                                         DotCase{13, 97, 131, 8, 32, 16, false, false, false, true},
                                         DotCase{13, 24, 24, 8, 24, 24, false, false, true, true},
                                         DotCase{8, 32, 1, 8, 32, 1, false, false, false, true}));
INSTANTIATE_TEST_SUITE_P(Bf16, DotTest,
                         testing::Values(DotCase{16, 64, 64, 8, 32, 64, true}, DotCase{13, 97, 131, 8, 32, 64, true},
                                         DotCase{13, 97, 131, 8, 32, 64, true, false, true},
                                         DotCase{13, 97, 131, 8, 32, 16, true, false, false, true}));
INSTANTIATE_TEST_SUITE_P(Bf16Packed, DotTest,
                         testing::Values(DotCase{16, 64, 64, 8, 32, 64, true, true},
                                         DotCase{13, 97, 131, 8, 32, 64, true, true},
                                         DotCase{13, 97, 131, 8, 32, 132, true, true},
                                         DotCase{8, 24, 24, 8, 24, 24, true, true},
                                         DotCase{13, 97, 131, 8, 32, 64, true, true, true},
                                         DotCase{13, 97, 132, 8, 32, 64, true, true, false, true}));

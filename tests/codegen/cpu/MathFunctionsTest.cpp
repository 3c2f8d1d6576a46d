//===- MathFunctionsTest.cpp - Elementary functions against the C library -===//

#include "tests/codegen/MathCases.h"
#include "tests/codegen/cpu/RunKernel.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace primus;
using namespace primus::test;

namespace {

class MathFunctionsTest : public testing::TestWithParam<MathCase> {};

constexpr int64_t count = 1 << 16;

/// One function applied to `count` numbers, as vectors and, in the first 8, as scalars.
std::string makeKernel(StringRef name) {
  return llvm::formatv(R"(
    kernel.func @k(%x: memref<{1}xf32>, %y: memref<{1}xf32>, %z: memref<8xf32>) grid [1] {{
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c8 = arith.constant 8 : index
      %step = arith.constant 64 : index
      %n = arith.constant {1} : index
      scf.for %i = %c0 to %n step %step {{
        %a = kernel.load %x[%i] dims [0] : memref<{1}xf32> -> tensor<64xf32>
        %b = math.{0} %a : tensor<64xf32>
        kernel.store %b, %y[%i] dims [0] : tensor<64xf32>, memref<{1}xf32>
      }
      scf.for %i = %c0 to %c8 step %c1 {{
        %a = kernel.load %x[%i] dims [] : memref<{1}xf32> -> f32
        %b = math.{0} %a : f32
        kernel.store %b, %z[%i] dims [] : f32, memref<8xf32>
      }
      kernel.return
    })",
                       name, count);
}

} // namespace

TEST_P(MathFunctionsTest, IsAccurate) {
  const MathCase &c = GetParam();
  std::vector<float> x = c.getInputs(count), y(count), z(8);
  for (const codegen::CpuTarget &target : allTargets()) {
    runKernel(makeKernel(c.name), {x.data(), y.data(), z.data()}, target);
    double worst = 0;
    float at = 0;
    for (int64_t i = 0; i < count; ++i) {
      double error = getUlps(y[i], c.reference(x[i]));
      if (error > worst)
        worst = error, at = x[i];
    }
    RecordProperty("ulps", std::to_string(worst));
    EXPECT_LE(worst, c.ulps) << c.name << "(" << at << ") " << target.featureString();
    for (int64_t i = 0; i < 8; ++i)
      EXPECT_LE(getUlps(z[i], c.reference(x[i])), c.ulps) << c.name << "(" << x[i] << ") as a scalar";
  }
}

TEST_P(MathFunctionsTest, TreatsSpecialNumbersLikeTheLibrary) {
  const MathCase &c = GetParam();
  std::vector<float> x(count, 1.0f), y(count), z(8);
  std::copy(std::begin(kSpecialNumbers), std::end(kSpecialNumbers), x.begin());
  for (const codegen::CpuTarget &target : allTargets()) {
    runKernel(makeKernel(c.name), {x.data(), y.data(), z.data()}, target);
    for (size_t i = 0; i < std::size(kSpecialNumbers); ++i) {
      double expected = c.reference(x[i]);
      EXPECT_LE(getUlps(y[i], expected), c.ulps) << c.name << "(" << x[i] << ") = " << y[i] << ", not " << expected << " " << target.featureString();
      if (i < 8) {
        EXPECT_LE(getUlps(z[i], expected), c.ulps) << c.name << "(" << x[i] << ") as a scalar";
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, MathFunctionsTest, testing::ValuesIn(kMathCases));

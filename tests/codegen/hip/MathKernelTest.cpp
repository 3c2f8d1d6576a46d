//===- MathKernelTest.cpp - Elementary functions on GPUs ------------------===//
//
// The bounds of tests/codegen/cpu/MathFunctionsTest.cpp, on the emulator, whose approximate instructions are as exact as the hardware states
// and take no subnormal numbers.
//
//===----------------------------------------------------------------------===//

#include "tests/codegen/MathCases.h"
#include "tests/codegen/hip/RunTiles.h"

using namespace mlir;
using namespace primus;
using namespace primus::test;

namespace {

class MathKernelTest : public testing::TestWithParam<std::tuple<const char *, MathCase>> {
protected:
  /// The function of some numbers, as vectors and, in the first 16, as scalars.
  std::pair<std::vector<float>, std::vector<float>> run(const std::vector<float> &inputs) {
    auto [chip, c] = GetParam();
    emulator::Buffer x("x", ArrayRef<float>(inputs)), y("y", 4 * inputs.size()), z("z", 4 * scalars);
    runTiles(llvm::formatv(R"(
      kernel.func @vectors(%x: memref<{1}xf32>, %y: memref<{1}xf32>) grid [{2}] {{
        %width = arith.constant 256 : index
        %p = kernel.program_id 0
        %i = arith.muli %p, %width : index
        %a = kernel.load %x[%i] dims [0] : memref<{1}xf32> -> tensor<256xf32>
        %b = math.{0} %a : tensor<256xf32>
        kernel.store %b, %y[%i] dims [0] : tensor<256xf32>, memref<{1}xf32>
        kernel.return
      }
      kernel.func @scalars(%x: memref<{1}xf32>, %z: memref<{3}xf32>) grid [{3}] {{
        %i = kernel.program_id 0
        %a = kernel.load %x[%i] dims [] : memref<{1}xf32> -> f32
        %b = math.{0} %a : f32
        kernel.store %b, %z[%i] dims [] : f32, memref<{3}xf32>
        kernel.return
      })",
                           c.name, inputs.size(), inputs.size() / 256, scalars),
             chip, {{"vectors", {&x, &y}}, {"scalars", {&x, &z}}});
    return {y.read<float>(), z.read<float>()};
  }

  static constexpr int64_t count = 8192, scalars = 16;
};

} // namespace

TEST_P(MathKernelTest, IsAccurate) {
  const MathCase &c = std::get<MathCase>(GetParam());
  std::vector<float> inputs = c.getInputs(count);
  auto [vectors, single] = run(inputs);
  double worst = 0;
  float at = 0;
  for (int64_t i = 0; i < count; ++i) {
    double error = getUlps(vectors[i], c.reference(inputs[i]));
    if (error > worst)
      worst = error, at = inputs[i];
  }
  RecordProperty("ulps", std::to_string(worst));
  EXPECT_LE(worst, c.ulps) << c.name << "(" << at << ")";
  for (int64_t i = 0; i < scalars; ++i)
    EXPECT_LE(getUlps(single[i], c.reference(inputs[i])), c.ulps) << c.name << "(" << inputs[i] << ") as a scalar";
}

TEST_P(MathKernelTest, TreatsSpecialNumbersLikeTheLibrary) {
  const MathCase &c = std::get<MathCase>(GetParam());
  std::vector<float> inputs(256, 1.0f);
  std::copy(std::begin(kSpecialNumbers), std::end(kSpecialNumbers), inputs.begin());
  auto [vectors, single] = run(inputs);
  for (size_t i = 0; i < std::size(kSpecialNumbers); ++i) {
    double expected = c.reference(inputs[i]);
    EXPECT_LE(getUlps(vectors[i], expected), c.ulps) << c.name << "(" << inputs[i] << ") = " << vectors[i] << ", not " << expected;
    EXPECT_LE(getUlps(single[i], expected), c.ulps) << c.name << "(" << inputs[i] << ") as a scalar";
  }
}

INSTANTIATE_TEST_SUITE_P(Chips, MathKernelTest, testing::Combine(testing::Values("gfx942", "gfx950"), testing::ValuesIn(kMathCases)));

//===- MathFunctionsTest.cpp - Elementary functions against the C library -===//

#include "tests/codegen/cpu/RunKernel.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace primus;
using namespace primus::test;

namespace {

struct MathCase {
  const char *name;
  double (*reference)(double);
  /// Inputs are spread over [low, high] evenly and, if both have one sign, geometrically.
  float low, high;
  /// Allowed error in units in the last place of the result.
  double ulps;
};

std::ostream &operator<<(std::ostream &stream, const MathCase &c) {
  return stream << c.name << " from " << c.low << " to " << c.high;
}

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

/// Distance of `value` from the exact result in units in the last place of the f32 that is nearest to it.
double getUlps(float value, double exact) {
  float nearest = float(exact);
  if (std::isnan(exact))
    return std::isnan(value) ? 0 : HUGE_VAL;
  if (std::isinf(nearest) || std::isinf(value))
    return nearest == value || std::abs(exact) > 3.40282e38 ? 0 : HUGE_VAL;
  double ulp = std::max<double>(std::nextafter(std::abs(nearest), INFINITY) - std::abs(nearest), 1.17549435e-38 / (1 << 23));
  return std::abs(value - exact) / ulp;
}

double rsqrt(double x) { return 1 / std::sqrt(x); }

} // namespace

TEST_P(MathFunctionsTest, IsAccurate) {
  const MathCase &c = GetParam();
  std::vector<float> x(count), y(count), z(8);
  bool geometric = c.low > 0 && c.high / c.low > 1e4;
  for (int64_t i = 0; i < count; ++i) {
    double t = double(i) / (count - 1);
    x[i] = geometric ? c.low * std::pow(double(c.high) / c.low, t) : c.low + t * (double(c.high) - c.low);
  }
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
  float special[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1e-40f, -1e-40f, 3.4e38f, -3.4e38f, -1.0f, 1e-20f, -1e-20f, 100.0f, -120.0f};
  std::copy(std::begin(special), std::end(special), x.begin());
  for (const codegen::CpuTarget &target : allTargets()) {
    runKernel(makeKernel(c.name), {x.data(), y.data(), z.data()}, target);
    for (size_t i = 0; i < std::size(special); ++i) {
      double expected = c.reference(x[i]);
      EXPECT_LE(getUlps(y[i], expected), c.ulps) << c.name << "(" << x[i] << ") = " << y[i] << ", not " << expected << " " << target.featureString();
      if (i < 8) {
        EXPECT_LE(getUlps(z[i], expected), c.ulps) << c.name << "(" << x[i] << ") as a scalar";
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, MathFunctionsTest,
                         testing::Values(MathCase{"exp", std::exp, -104, 89, 1.5}, MathCase{"exp", std::exp, -1, 1, 1.0},
                                         MathCase{"exp2", std::exp2, -150, 128, 1.5}, MathCase{"expm1", std::expm1, -20, 89, 2},
                                         MathCase{"expm1", std::expm1, -1e-3, 1e-3, 1}, MathCase{"log", std::log, 1e-40, 3e38, 1.5},
                                         MathCase{"log", std::log, 0.5, 2, 1.5}, MathCase{"log2", std::log2, 1e-3, 1e3, 3},
                                         MathCase{"log10", std::log10, 1e-3, 1e3, 3}, MathCase{"log1p", std::log1p, -0.99, 1, 2},
                                         MathCase{"log1p", std::log1p, 1e-8, 1e8, 2}, MathCase{"tanh", std::tanh, -10, 10, 3},
                                         MathCase{"tanh", std::tanh, -1e-2, 1e-2, 3}, MathCase{"erf", std::erf, -5, 5, 2},
                                         MathCase{"erf", std::erf, -1e-2, 1e-2, 1}, MathCase{"rsqrt", rsqrt, 1e-37, 3e38, 1.5},
                                         MathCase{"sqrt", std::sqrt, 1e-40, 3e38, 0.51}));

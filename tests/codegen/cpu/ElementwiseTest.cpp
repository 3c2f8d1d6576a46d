//===- ElementwiseTest.cpp - Arithmetic on tiles --------------------------===//

#include "tests/codegen/cpu/RunKernel.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace primus;
using namespace primus::test;

/// A kernel over 101 numbers in tiles of 40 (neither is a multiple of the other, nor of a vector's lanes): `body` computes %r
/// from %x and %y.
static std::string makeKernel(StringRef in, StringRef out, StringRef body) {
  return llvm::formatv(R"(
    kernel.func @k(%a: memref<101x{0}>, %b: memref<101x{0}>, %c: memref<101x{1}>) grid [3] {{
      %c40 = arith.constant 40 : index
      %p = kernel.program_id 0
      %i = arith.muli %p, %c40 : index
      %x = kernel.load %a[%i] dims [0] : memref<101x{0}> -> tensor<40x{0}>
      %y = kernel.load %b[%i] dims [0] : memref<101x{0}> -> tensor<40x{0}>
      {2}
      kernel.store %r, %c[%i] dims [0] : tensor<40x{1}>, memref<101x{1}>
      kernel.return
    })",
                       in, out, body);
}

/// Runs the kernel on every target and compares with `reference`, exactly.
template <typename In, typename Out>
static void check(StringRef in, StringRef out, StringRef body, const std::vector<In> &x, const std::vector<In> &y,
                  function_ref<Out(In, In)> reference) {
  std::string source = makeKernel(in, out, body);
  for (const codegen::CpuTarget &target : allTargets()) {
    std::vector<Out> z(102, Out(77));
    runKernel(source, {const_cast<In *>(x.data()), const_cast<In *>(y.data()), z.data()}, target);
    for (size_t i = 0; i < 101; ++i) {
      Out expected = reference(x[i], y[i]);
      ASSERT_EQ(std::memcmp(&z[i], &expected, sizeof(Out)), 0)
          << body.str() << " of " << x[i] << ", " << y[i] << " is " << z[i] << ", not " << expected << " "
          << target.featureString();
    }
    EXPECT_EQ(z[101], Out(77));
  }
}

static std::vector<float> makeFloats(float scale, float shift) {
  std::vector<float> list;
  for (int i = 0; i < 101; ++i)
    list.push_back(scale * (i * 37 % 101) + shift);
  return list;
}

static std::vector<int32_t> makeInts(int scale, int shift) {
  std::vector<int32_t> list;
  for (int i = 0; i < 101; ++i)
    list.push_back(scale * (i * 37 % 101) + shift);
  return list;
}

TEST(Elementwise, FloatArithmetic) {
  std::vector<float> x = makeFloats(0.37f, -17), y = makeFloats(-0.11f, 3.5f);
  auto binary = [&](const char *op, float (*reference)(float, float)) {
    check<float, float>("f32", "f32", llvm::formatv("%r = arith.{0} %x, %y : tensor<40xf32>", op).str(), x, y, reference);
  };
  binary("addf", [](float a, float b) { return a + b; });
  binary("subf", [](float a, float b) { return a - b; });
  binary("mulf", [](float a, float b) { return a * b; });
  binary("divf", [](float a, float b) { return a / b; });
  binary("maximumf", [](float a, float b) { return std::max(a, b); });
  binary("minnumf", [](float a, float b) { return std::min(a, b); });
  auto unary = [&](const char *op, float (*reference)(float)) {
    check<float, float>("f32", "f32", llvm::formatv("%r = {0} %x : tensor<40xf32>", op).str(), x, y,
                        [&](float a, float) { return reference(a); });
  };
  unary("arith.negf", [](float a) { return -a; });
  unary("math.absf", [](float a) { return std::abs(a); });
  unary("math.floor", [](float a) { return std::floor(a); });
  unary("math.ceil", [](float a) { return std::ceil(a); });
  check<float, float>("f32", "f32", "%r = math.fma %x, %y, %x : tensor<40xf32>", x, y,
                      [](float a, float b) { return std::fma(a, b, a); });
}

TEST(Elementwise, ComparisonsAndSelect) {
  std::vector<float> x = makeFloats(0.5f, -20), y = makeFloats(-0.25f, 3);
  check<float, float>("f32", "f32",
                      "%m = arith.cmpf olt, %x, %y : tensor<40xf32>\n"
                      "%r = arith.select %m, %x, %y : tensor<40xi1>, tensor<40xf32>",
                      x, y, [](float a, float b) { return a < b ? a : b; });
  // One byte per i1 in memory.
  check<float, int8_t>("f32", "i1", "%r = arith.cmpf oge, %x, %y : tensor<40xf32>", x, y,
                       [](float a, float b) { return int8_t(a >= b); });
  // A scalar chooses between tiles.
  check<float, float>("f32", "f32",
                      "%c1 = arith.constant 1 : index\n"
                      "%m = arith.cmpi slt, %p, %c1 : index\n"
                      "%r = arith.select %m, %x, %x : tensor<40xf32>",
                      x, y, [](float a, float) { return a; });
}

TEST(Elementwise, Integers) {
  std::vector<int32_t> x = makeInts(977, -31000), y = makeInts(-13, 700);
  auto binary = [&](const char *op, int32_t (*reference)(int32_t, int32_t)) {
    check<int32_t, int32_t>("i32", "i32", llvm::formatv("%r = arith.{0} %x, %y : tensor<40xi32>", op).str(), x, y, reference);
  };
  binary("addi", [](int32_t a, int32_t b) { return a + b; });
  binary("muli", [](int32_t a, int32_t b) { return a * b; });
  binary("maxsi", [](int32_t a, int32_t b) { return std::max(a, b); });
  binary("andi", [](int32_t a, int32_t b) { return a & b; });
  binary("xori", [](int32_t a, int32_t b) { return a ^ b; });
  check<int32_t, float>("i32", "f32", "%r = arith.sitofp %x : tensor<40xi32> to tensor<40xf32>", x, y,
                        [](int32_t a, int32_t) { return float(a); });
  check<int32_t, int64_t>("i32", "i64", "%r = arith.extsi %x : tensor<40xi32> to tensor<40xi64>", x, y,
                          [](int32_t a, int32_t) { return int64_t(a); });
  check<int32_t, int64_t>("i32", "index", "%r = arith.index_cast %x : tensor<40xi32> to tensor<40xindex>", x, y,
                          [](int32_t a, int32_t) { return int64_t(a); });
}

TEST(Elementwise, Constants) {
  std::vector<float> x = makeFloats(1, 0);
  std::string list, sums;
  for (int i = 0; i < 40; ++i)
    list += (i ? ", " : "") + std::to_string(i) + ".0";
  std::string source = makeKernel("f32", "f32",
                                  "%s = arith.constant dense<2.0> : tensor<40xf32>\n"
                                  "%l = arith.constant dense<[" + list + "]> : tensor<40xf32>\n"
                                  "%t = arith.mulf %x, %s : tensor<40xf32>\n%r = arith.addf %t, %l : tensor<40xf32>");
  for (const codegen::CpuTarget &target : allTargets()) {
    std::vector<float> z(101);
    runKernel(source, {x.data(), x.data(), z.data()}, target);
    for (int i = 0; i < 101; ++i)
      EXPECT_EQ(z[i], 2 * x[i] + i % 40);
  }
}

TEST(Elementwise, Bf16RoundsToNearestEven) {
  // Both sides of, and on, the middle between two bf16 numbers, with even and odd neighbours.
  std::vector<float> x;
  for (uint32_t bits : {0x3f800000u, 0x3f808000u, 0x3f818000u, 0x3f807fffu, 0x3f808001u, 0xc2ff8000u, 0x7f7fffffu, 0x7f800000u,
                        0xff800000u, 0x00800000u, 0x80000000u})
    x.push_back(llvm::bit_cast<float>(bits));
  for (int i = x.size(); i < 101; ++i)
    x.push_back(std::ldexp(1.0f + i * 0.00391f, i - 50) * (i % 2 ? 1 : -1));
  check<float, uint16_t>("f32", "bf16", "%r = arith.truncf %x : tensor<40xf32> to tensor<40xbf16>", x, x,
                         [](float a, float) { return floatToBf16(a); });
  // NaN stays NaN, whatever its bits.
  std::string source = makeKernel("f32", "bf16", "%r = arith.truncf %x : tensor<40xf32> to tensor<40xbf16>");
  std::vector<float> nans(101, llvm::bit_cast<float>(0x7fffffffu));
  nans[1] = llvm::bit_cast<float>(0x7f800001u);
  for (const codegen::CpuTarget &target : allTargets()) {
    std::vector<uint16_t> z(101);
    runKernel(source, {nans.data(), nans.data(), z.data()}, target);
    EXPECT_TRUE(llvm::all_of(z, [](uint16_t bits) { return std::isnan(bf16ToFloat(bits)); }));
  }
}

TEST(Elementwise, Bf16ComputesInF32) {
  std::vector<uint16_t> x, y;
  for (float value : makeFloats(0.37f, -17))
    x.push_back(floatToBf16(value));
  for (float value : makeFloats(-0.11f, 3.5f))
    y.push_back(floatToBf16(value));
  check<uint16_t, uint16_t>("bf16", "bf16", "%r = arith.mulf %x, %y : tensor<40xbf16>", x, y,
                            [](uint16_t a, uint16_t b) { return floatToBf16(bf16ToFloat(a) * bf16ToFloat(b)); });
  check<uint16_t, float>("bf16", "f32", "%r = arith.extf %y : tensor<40xbf16> to tensor<40xf32>", x, y,
                         [](uint16_t, uint16_t b) { return bf16ToFloat(b); });
  check<uint16_t, uint16_t>("bf16", "bf16",
                            "%m = arith.cmpf ogt, %x, %y : tensor<40xbf16>\n"
                            "%r = arith.select %m, %x, %y : tensor<40xi1>, tensor<40xbf16>",
                            x, y, [](uint16_t a, uint16_t b) { return bf16ToFloat(a) > bf16ToFloat(b) ? a : b; });
  check<uint16_t, uint16_t>("bf16", "bf16",
                            "%s = arith.constant dense<1.5> : tensor<40xbf16>\n%r = arith.addf %x, %s : tensor<40xbf16>", x, y,
                            [](uint16_t a, uint16_t) { return floatToBf16(bf16ToFloat(a) + 1.5f); });
}

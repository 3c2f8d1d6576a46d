//===- SmallFloatKernelTest.cpp - Conversions of 8-bit floats -------------===//
//
// Every format on every target, native or not, against a table: from all bf16, from f32 where roundings differ, and of all
// codes.
//
//===----------------------------------------------------------------------===//

#include "tests/codegen/Float8Numbers.h"
#include "tests/codegen/hip/RunTiles.h"

#include <numeric>

using namespace mlir;
using namespace primus;
using namespace primus::test;

namespace {

constexpr int64_t width = 512;

using Bytes = std::vector<uint8_t>;

template <typename T> Bytes asBytes(const std::vector<T> &elements) {
  Bytes bytes(elements.size() * sizeof(T));
  std::memcpy(bytes.data(), elements.data(), bytes.size());
  return bytes;
}

template <typename T> std::vector<T> fromBytes(const Bytes &bytes) {
  std::vector<T> elements(bytes.size() / sizeof(T));
  std::memcpy(elements.data(), bytes.data(), bytes.size());
  return elements;
}

/// `op` from elements of one type to another, as vectors; and the first ones as scalars, into the first elements again.
Bytes convert(const std::string &target, StringRef op, StringRef from, StringRef to, const Bytes &input, int64_t count, int64_t toBytes) {
  std::string source = llvm::formatv(R"(
    kernel.func @vectors(%x: memref<{1}x{2}>, %y: memref<{1}x{3}>) grid [{4}] {{
      %width = arith.constant {5} : index
      %p = kernel.program_id 0
      %i = arith.muli %p, %width : index
      %a = kernel.load %x[%i] dims [0] : memref<{1}x{2}> -> tensor<{5}x{2}>
      %b = arith.{0} %a : tensor<{5}x{2}> to tensor<{5}x{3}>
      kernel.store %b, %y[%i] dims [0] : tensor<{5}x{3}>, memref<{1}x{3}>
      kernel.return
    }
    kernel.func @scalars(%x: memref<{1}x{2}>, %y: memref<{1}x{3}>) grid [16] {{
      %i = kernel.program_id 0
      %a = kernel.load %x[%i] dims [] : memref<{1}x{2}> -> {2}
      %b = arith.{0} %a : {2} to {3}
      kernel.store %b, %y[%i] dims [] : {3}, memref<{1}x{3}>
      kernel.return
    })",
                                     op, count, from, to, llvm::divideCeil(count, width), width);
  Bytes output(count * toBytes);
  if (target == "gfx942" || target == "gfx950") {
    emulator::Buffer x("x", ArrayRef<uint8_t>(input)), y("y", output.size());
    runTiles(source, target, {{"vectors", {&x, &y}}});
    output = y.read<uint8_t>();
    emulator::Buffer scalars("scalars", ArrayRef<uint8_t>(output));
    runTiles(source, target, {{"scalars", {&x, &scalars}}});
    EXPECT_EQ(scalars.read<uint8_t>(), output);
    return output;
  }
  codegen::CpuTarget cpu = target == "avx2" ? avx2Target() : hostTarget();
  runKernel(source, {const_cast<uint8_t *>(input.data()), output.data()}, cpu, "vectors");
  Bytes scalars = output;
  runKernel(source, {const_cast<uint8_t *>(input.data()), scalars.data()}, cpu, "scalars");
  EXPECT_EQ(scalars, output);
  return output;
}

class SmallFloatKernelTest : public testing::TestWithParam<std::tuple<const char *, Float8Numbers>> {
protected:
  /// Rounds values that `input` holds as `type`.
  void checkNarrowing(StringRef type, const Bytes &input, const std::vector<float> &values) {
    auto [target, format] = GetParam();
    Bytes output = convert(target, "truncf", type, format.name, input, values.size(), 1);
    for (auto [value, code] : llvm::zip_equal(values, output)) {
      uint8_t expected = format.round(value);
      if (std::isnan(format.numbers[expected]))
        ASSERT_TRUE(std::isnan(format.numbers[code])) << type.str() << " " << value << " gives " << int(code);
      else
        ASSERT_EQ(int(code), int(expected)) << type.str() << " " << value;
    }
  }
  void checkWidening(StringRef type, int64_t bytes, function_ref<std::vector<float>(const Bytes &)> read) {
    auto [target, format] = GetParam();
    Bytes codes(256);
    std::iota(codes.begin(), codes.end(), 0);
    std::vector<float> values = read(convert(target, "extf", format.name, type, codes, 256, bytes));
    for (int code = 0; code < 256; ++code) {
      float expected = format.numbers[code];
      if (std::isnan(expected))
        EXPECT_TRUE(std::isnan(values[code])) << code;
      else
        EXPECT_EQ(llvm::bit_cast<uint32_t>(values[code]), llvm::bit_cast<uint32_t>(expected)) << type.str() << " " << code;
    }
  }
};

} // namespace

TEST_P(SmallFloatKernelTest, RoundsAllBf16) {
  std::vector<uint16_t> codes(65536);
  std::iota(codes.begin(), codes.end(), 0);
  std::vector<float> values;
  for (uint16_t code : codes)
    values.push_back(bf16ToFloat(code));
  checkNarrowing("bf16", asBytes(codes), values);
}

TEST_P(SmallFloatKernelTest, RoundsF32) {
  std::vector<float> values = getRoundingCases(std::get<Float8Numbers>(GetParam()), 20000);
  checkNarrowing("f32", asBytes(values), values);
}

TEST_P(SmallFloatKernelTest, Widens) {
  checkWidening("f32", 4, [](const Bytes &bytes) { return fromBytes<float>(bytes); });
  checkWidening("bf16", 2, [](const Bytes &bytes) {
    std::vector<float> values;
    for (uint16_t bits : fromBytes<uint16_t>(bytes))
      values.push_back(bf16ToFloat(bits));
    return values;
  });
}

INSTANTIATE_TEST_SUITE_P(Targets, SmallFloatKernelTest,
                         testing::Combine(testing::Values("cpu", "avx2", "gfx942", "gfx950"), testing::ValuesIn(kFloat8Numbers)),
                         [](const auto &info) {
                           return std::string(std::get<0>(info.param)) + "_" + std::get<1>(info.param).name;
                         });

//===- TensorTest.cpp - Values of the interpreter -------------------------===//

#include "tests/codegen/Float8Numbers.h"
#include "tests/ir/interpreter/Run.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace primus::interpreter;
using namespace primus::testing;

namespace {

class TensorTest : public IrTest {
protected:
  double roundTo(Type type, double value) {
    Tensor one = tensor({}, {value}, type);
    one.round();
    return one.values[0];
  }
  /// What LLVM's software floats make of it; formats of eight bits saturate.
  static double reference(FloatType type, double value) {
    double largest = APFloat::getLargest(type.getFloatSemantics()).convertToDouble();
    APFloat narrow(type.getWidth() == 8 ? std::clamp(value, -largest, largest) : value);
    bool losesInfo;
    narrow.convert(type.getFloatSemantics(), APFloat::rmNearestTiesToEven, &losesInfo);
    return narrow.convertToDouble();
  }
  Builder builder{&context};
};

TEST_F(TensorTest, RoundsLikeSoftwareFloats) {
  for (FloatType type : std::initializer_list<FloatType>{
           builder.getF32Type(), builder.getF16Type(), builder.getBF16Type(), Float8E4M3FNType::get(&context),
           Float8E4M3FNUZType::get(&context), Float8E5M2Type::get(&context), Float8E5M2FNUZType::get(&context)}) {
    auto check = [&](double value) {
      double actual = roundTo(type, value), expected = reference(type, value);
      EXPECT_TRUE(actual == expected || (std::isnan(actual) && std::isnan(expected)))
          << value << " gives " << actual << ", not " << expected;
    };
    // All binades of the narrower types with random digits, ties, and values just beside ties.
    for (int exponent = -160; exponent <= 140; ++exponent)
      for (uint64_t i = 0; i < 40; ++i)
        check(std::ldexp(primus::runtime::standardNormal(1, 0, i), exponent));
    for (int bits : {3, 4, 8, 9, 11, 12, 24, 25})
      for (double odd : {1.0, 3.0, 5.0})
        for (double nudge : {-0x1p-50, 0.0, 0x1p-50})
          check(1.0 + odd * std::ldexp(1.0, -bits) + nudge);
    for (double value : {0.0, HUGE_VAL, -HUGE_VAL, std::nan(""), 65504.0, 65519.0, 65520.0, 448.0, 465.0, 240.0,
                         57344.0, 0x1.ffp127, 0x1.fefp127, 0x1.fffffefp127, 0x1p-133, 0x1p-134, 0x1.8p-134,
                         0x1p-149, 0x1p-24})
      check(value), check(-value);
  }
}

TEST_F(TensorTest, PowersOfTwoAreRoundedDown) {
  Type type = Float8E8M0FNUType::get(&context);
  for (auto [value, expected] : {std::pair{1.0, 1.0}, {1.75, 1.0}, {3.999, 2.0}, {0x1.fp-127, 0x1p-127}, {0x1p-130, 0x1p-127},
                                 {0.0, 0x1p-127}, {0x1.8p127, 0x1p127}, {HUGE_VAL, 0x1p127}})
    EXPECT_EQ(roundTo(type, value), expected) << value;
  EXPECT_TRUE(std::isnan(roundTo(type, std::nan(""))));
}

TEST_F(TensorTest, RoundsToTheNumbersOfEightBits) {
  for (const primus::test::Float8Numbers &format : primus::test::kFloat8Numbers) {
    Type type = parseType(format.name, &context);
    ASSERT_TRUE(type) << format.name;
    for (float value : primus::test::getRoundingCases(format, 2000)) {
      float expected = format.numbers[format.round(value)];
      double actual = roundTo(type, value);
      EXPECT_TRUE(actual == expected || (std::isnan(actual) && std::isnan(expected)))
          << format.name << " " << value << " gives " << actual << ", not " << expected;
    }
  }
}

TEST_F(TensorTest, IntegersWrapAround) {
  EXPECT_EQ(roundTo(builder.getI32Type(), 2147483648.0), -2147483648.0);
  EXPECT_EQ(roundTo(builder.getI32Type(), -5), -5);
  EXPECT_EQ(roundTo(builder.getI8Type(), 200), -56);
  EXPECT_EQ(roundTo(builder.getI1Type(), 3), 1);
}

TEST_F(TensorTest, ReadsConstants) {
  auto read = [&](const char *text) {
    FailureOr<Tensor> value = Tensor::get(cast<ElementsAttr>(parseAttribute(text, &context)));
    return succeeded(value) ? value->values : std::vector<double>{-999};
  };
  EXPECT_EQ(read("dense<[[1.5, -2.0]]> : tensor<1x2xbf16>"), (std::vector<double>{1.5, -2}));
  EXPECT_EQ(read("dense<0.25> : tensor<2x2xf64>"), (std::vector<double>{0.25, 0.25, 0.25, 0.25}));
  EXPECT_EQ(read("dense<[true, false]> : tensor<2xi1>"), (std::vector<double>{1, 0}));
  EXPECT_EQ(read("dense<[-1, 7]> : tensor<2xi32>"), (std::vector<double>{-1, 7}));
  EXPECT_EQ(read("dense<> : tensor<0xf32>"), std::vector<double>{});
}

TEST_F(TensorTest, Prints) {
  std::string text;
  llvm::raw_string_ostream os(text);
  tensor({2, 1, 2}, {1, 0.1, -3, 1e-12}).print(os);
  os << ' ';
  tensor({}, {4}).print(os);
  EXPECT_EQ(text, "[[[1, 0.1]], [[-3, 1e-12]]] 4");
}

TEST_F(TensorTest, VisitsStridedIndices) {
  std::vector<int64_t> offsets;
  auto visit = [&](int64_t offset) { offsets.push_back(offset); };
  forEachOffset({2, 3}, {1, 2}, 10, visit);
  EXPECT_EQ(offsets, (std::vector<int64_t>{10, 12, 14, 11, 13, 15}));
  offsets.clear();
  forEachOffset({2, 0}, {1, 1}, 0, visit);
  EXPECT_TRUE(offsets.empty());
  forEachOffset({}, {}, 7, visit);
  EXPECT_EQ(offsets, std::vector<int64_t>{7});
}

} // namespace

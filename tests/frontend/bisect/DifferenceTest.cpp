//===- DifferenceTest.cpp - The metric of the bisection --------------------===//

#include "frontend/bisect/Difference.h"
#include "frontend/bisect/TensorBytes.h"

#include "mlir/IR/MLIRContext.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace mlir;
using namespace primus;
using namespace primus::bisect;

namespace {

TEST(Difference, SharesOneScale) {
  Difference difference = compare({100, 1, 0}, {100, 2, 1}, 1e-3);
  EXPECT_DOUBLE_EQ(difference.relative, 0.01);
  EXPECT_EQ(difference.element, 1);
  EXPECT_EQ(difference.count, 2);
  EXPECT_EQ(difference.expected, 1);
  EXPECT_EQ(difference.actual, 2);
  EXPECT_FALSE(compare({100, 1, 0}, {100, 2, 1}, 0.01));
  EXPECT_DOUBLE_EQ(compare({1}, {2}, 0, /*floor=*/10).relative, 0.1);
}

TEST(Difference, NumbersThatAreNone) {
  const double nan = std::nan(""), infinity = HUGE_VAL;
  EXPECT_FALSE(compare({nan, infinity, -infinity, 1}, {nan, infinity, -infinity, 1}, 0));
  for (auto [expected, actual] : {std::pair(nan, 1.0), {1.0, nan}, {infinity, 1.0}, {infinity, -infinity}, {infinity, nan}}) {
    Difference difference = compare({0, expected}, {0, actual}, 1e9);
    EXPECT_EQ(difference.element, 1);
    EXPECT_EQ(difference.relative, infinity);
    EXPECT_FALSE(agree({0, expected}, {0, actual}, 1e9));
  }
}

TEST(Difference, Sizes) {
  EXPECT_TRUE(compare({1}, {1, 1}, 1));
  EXPECT_FALSE(agree({1}, {1, 1}, 1));
  EXPECT_FALSE(compare({}, {}, 0));
  EXPECT_FALSE(compare({0, 0}, {0, 0}, 0));
  EXPECT_EQ(unflatten(23, {2, 3, 4}), SmallVector<int64_t>({1, 2, 3}));
  EXPECT_EQ(unflatten(0, {}), SmallVector<int64_t>());
}

/// Memory and back, for every type that kernels read and write.
TEST(TensorBytes, RoundTrip) {
  MLIRContext context;
  Builder builder(&context);
  for (Type type : {Type(builder.getF64Type()), Type(builder.getF32Type()), Type(builder.getF16Type()), Type(builder.getBF16Type()),
                    Type(builder.getI64Type()), Type(builder.getI32Type()), Type(builder.getI8Type()), Type(builder.getI1Type())}) {
    auto tensorType = RankedTensorType::get({2, 2}, type);
    std::vector<double> values = type.isInteger(1) ? std::vector<double>{0, 1, 1, 0} : std::vector<double>{-2, 0, 96, 1};
    std::vector<char> bytes = toBytes(interpreter::Tensor(tensorType, values));
    EXPECT_EQ(bytes.size(), size_t(getByteSize(tensorType)));
    EXPECT_EQ(fromBytes(tensorType, bytes.data()).values, values);
  }
  auto single = RankedTensorType::get({1}, builder.getF32Type());
  float one = 1.5;
  std::vector<char> bytes = toBytes(interpreter::Tensor(single, {1.5}));
  EXPECT_EQ(std::memcmp(bytes.data(), &one, sizeof(one)), 0);
  EXPECT_EQ(toBytes(interpreter::Tensor(RankedTensorType::get({1}, builder.getBF16Type()), {1.0}))[1], 0x3f);
}

} // namespace

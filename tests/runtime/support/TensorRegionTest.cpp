//===- TensorRegionTest.cpp - Boxes of a tensor's elements ----------------===//

#include "runtime/support/TensorRegion.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <iterator>
#include <random>

using namespace primus::runtime;

namespace {

class Generator {
public:
  explicit Generator(unsigned seed) : engine(seed) {}

  int64_t choose(int64_t smallest, int64_t largest) {
    return std::uniform_int_distribution<int64_t>(smallest, largest)(engine);
  }

  /// A region inside a tensor. Sometimes a dimension is whole, sometimes empty.
  TensorRegion makeRegion(const std::vector<int64_t> &shape) {
    TensorRegion region = TensorRegion::whole(shape);
    for (size_t d = 0; d < shape.size(); ++d) {
      if (choose(0, 2) == 0)
        continue;
      region.begin[d] = choose(0, shape[d] - 1);
      region.shape[d] = choose(choose(0, 9) ? 1 : 0, shape[d] - region.begin[d]);
    }
    return region;
  }

private:
  std::mt19937 engine;
};

} // namespace

/// The numbers in the whole tensor of a region's elements, in their packed order.
static std::vector<int64_t> list(const TensorRegion &region, const std::vector<int64_t> &shape) {
  std::vector<int64_t> numbers;
  for (int64_t i = 0; i < region.getElements(); ++i) {
    int64_t rest = i, number = 0, stride = 1;
    for (size_t d = shape.size(); d-- > 0;) {
      number += (region.begin[d] + rest % region.shape[d]) * stride;
      rest /= region.shape[d];
      stride *= shape[d];
    }
    numbers.push_back(number);
  }
  return numbers;
}

TEST(TensorRegion, CommonRunsAreTheCommonElements) {
  Generator generator(1);
  int64_t taken = 0;
  for (int round = 0; round < 10000; ++round) {
    std::vector<int64_t> shape(static_cast<size_t>(generator.choose(0, 4)));
    for (int64_t &size : shape)
      size = generator.choose(1, 7);
    TensorRegion a = generator.makeRegion(shape), b = generator.makeRegion(shape);
    std::vector<int64_t> ofA = list(a, shape), ofB = list(b, shape), common, expected;
    std::ranges::set_intersection(ofA, ofB, std::back_inserter(expected));
    int64_t previousEnd = -1;
    forEachCommonRun(a, b, [&](int64_t beginA, int64_t beginB, int64_t count) {
      ASSERT_GT(count, 0);
      // Runs that follow each other in both would have been one.
      if (!common.empty() && beginA == previousEnd)
        ASSERT_NE(ofB[static_cast<size_t>(beginB) - 1], common.back());
      previousEnd = beginA + count;
      for (int64_t i = 0; i < count; ++i) {
        ASSERT_EQ(ofA.at(static_cast<size_t>(beginA + i)), ofB.at(static_cast<size_t>(beginB + i)));
        common.push_back(ofA[static_cast<size_t>(beginA + i)]);
      }
    });
    EXPECT_EQ(common, expected) << round;
    EXPECT_EQ(overlap(a, b), !expected.empty()) << round;
    taken += static_cast<int64_t>(common.size());
  }
  EXPECT_GT(taken, 10000);
}

//===- InitializerTest.cpp - Random numbers and first values --------------===//

#include "runtime/init/Initializer.h"
#include "runtime/init/Philox.h"

#include "gtest/gtest.h"

#include <algorithm>
#include <cmath>

using namespace primus::runtime;

namespace {

std::vector<float> fill(const InitializerSpec &spec, std::vector<int64_t> shape, uint64_t seed, int64_t begin,
                        int64_t end) {
  std::vector<float> values(end - begin, -1.0f);
  std::optional<std::string> problem = initialize(spec, shape, seed, begin, end, values.data());
  EXPECT_EQ(problem, std::nullopt) << *problem;
  return values;
}

// The known answers that the authors of Philox publish with their library.
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, UniformIsNeverZero) {
  EXPECT_EQ(uniformFromBits(0, 0), 0x1p-53);
  EXPECT_EQ(uniformFromBits(0xffffffff, 0xffffffff), 1.0);
}

TEST(Initializer, NormalHasItsMoments) {
  constexpr int64_t count = 200000;
  std::vector<float> values = fill({"normal", {{"std", 0.5}, {"mean", 2.0}}, {}, 3}, {count}, 1234, 0, count);
  double sum = 0, squares = 0, fourth = 0;
  for (float value : values) {
    double centred = (value - 2.0) / 0.5;
    sum += centred;
    squares += centred * centred;
    fourth += std::pow(centred, 4);
  }
  // Five standard errors.
  EXPECT_NEAR(sum / count, 0.0, 5 / std::sqrt(double(count)));
  EXPECT_NEAR(squares / count, 1.0, 5 * std::sqrt(2.0 / count));
  EXPECT_NEAR(fourth / count, 3.0, 5 * std::sqrt(96.0 / count));
}

TEST(Initializer, CutNormalHasItsVariance) {
  constexpr int64_t count = 200000;
  std::vector<float> values = fill({"normal", {{"std", 0.5}, {"cutoff", 2.0}}, {}, 3}, {count}, 1234, 0, count);
  double squares = 0;
  for (float value : values) {
    EXPECT_LE(std::abs(value), 1.0f);
    squares += value * value / 0.25;
  }
  // Of a standard normal distribution cut at 2.
  EXPECT_NEAR(squares / count, 0.7737413, 5 * std::sqrt(2.0 / count));
  // Values within stay what they are.
  std::vector<float> whole = fill({"normal", {{"std", 0.5}}, {}, 3}, {100}, 1234, 0, 100);
  for (int i = 0; i < 100; ++i)
    if (std::abs(whole[i]) <= 1.0f)
      EXPECT_EQ(whole[i], values[i]);
}

TEST(Initializer, AnySplitGivesTheSameValues) {
  InitializerSpec spec{"normal", {{"std", 0.02}}, {}, 7};
  std::vector<float> whole = fill(spec, {13, 11}, 42, 0, 143);
  std::vector<float> joined;
  for (auto [begin, end] : {std::pair{0, 1}, {1, 64}, {64, 64}, {64, 143}})
    for (float value : fill(spec, {13, 11}, 42, begin, end))
      joined.push_back(value);
  EXPECT_EQ(whole, joined);
}

TEST(Initializer, SeedAndStreamChangeValues) {
  InitializerSpec spec{"normal", {}, {}, 7}, other{"normal", {}, {}, 8};
  std::vector<float> values = fill(spec, {64}, 42, 0, 64);
  EXPECT_NE(values, fill(other, {64}, 42, 0, 64));
  EXPECT_NE(values, fill(spec, {64}, 43, 0, 64));
  EXPECT_EQ(values, fill(spec, {64}, 42, 0, 64));
}

TEST(Initializer, Constants) {
  EXPECT_EQ(fill({"zeros", {}, {}, 0}, {4}, 0, 1, 3), (std::vector<float>{0, 0}));
  EXPECT_EQ(fill({"ones", {}, {}, 0}, {4}, 0, 1, 3), (std::vector<float>{1, 1}));
  EXPECT_EQ(fill({"constant", {{"value", -0.25}}, {}, 0}, {4}, 0, 1, 3), (std::vector<float>{-0.25, -0.25}));
}

TEST(Initializer, RopeTables) {
  InitializerSpec cosine{"rope_cos", {{"scale", 0.5}}, {1.0, 0.01}, 0}, sine{"rope_sin", {}, {1.0, 0.01}, 0};
  std::vector<float> cosines = fill(cosine, {100, 2}, 0, 0, 200), sines = fill(sine, {100, 2}, 0, 0, 200);
  for (int position = 0; position < 100; ++position) {
    float slow = float(position) * 0.01f;
    EXPECT_EQ(cosines[2 * position], float(std::cos(double(position))) * 0.5f);
    EXPECT_EQ(cosines[2 * position + 1], float(std::cos(double(slow))) * 0.5f);
    EXPECT_EQ(sines[2 * position], float(std::sin(double(position))));
    EXPECT_EQ(sines[2 * position + 1], float(std::sin(double(slow))));
  }
}

TEST(Initializer, ContextPositionsBalanceACausalMask) {
  // Two ranks of 12 tokens: chunks 0 and 3, then 1 and 2.
  EXPECT_EQ(fill({"positions", {{"ranks", 2}}, {}, 0}, {12}, 0, 0, 12),
            (std::vector<float>{0, 1, 2, 9, 10, 11, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(fill({"positions", {}, {}, 0}, {4}, 0, 1, 4), (std::vector<float>{1, 2, 3}));
  for (int64_t ranks : {1, 2, 3, 4}) {
    constexpr int64_t length = 48;
    std::vector<int64_t> positions, sums(ranks, 0);
    for (int64_t i = 0; i < length; ++i) {
      positions.push_back(getContextPosition(i, length, ranks));
      sums[i / (length / ranks)] += positions.back();
    }
    // As many visible keys for each rank, and each position once.
    for (int64_t sum : sums)
      EXPECT_EQ(sum, length * (length - 1) / 2 / ranks);
    std::sort(positions.begin(), positions.end());
    for (int64_t i = 0; i < length; ++i)
      EXPECT_EQ(positions[i], i);
  }
}

TEST(Initializer, RopeTablesAreStoredInTheOrderOfTokens) {
  InitializerSpec spec{"rope_cos", {{"ranks", 2}}, {1.0, 0.01}, 0}, plain{"rope_cos", {}, {1.0, 0.01}, 0};
  std::vector<float> stored = fill(spec, {8, 2}, 0, 0, 16), table = fill(plain, {8, 2}, 0, 0, 16);
  for (int64_t i = 0; i < 8; ++i)
    for (int64_t column = 0; column < 2; ++column)
      EXPECT_EQ(stored[2 * i + column], table[2 * getContextPosition(i, 8, 2) + column]);
}

TEST(Initializer, AxisIndexIsTheRanksPlace) {
  InitializerSpec spec{"axis_index", {}, {}, 0, {"cp", "tp"}, 3};
  EXPECT_EQ(fill(spec, {}, 0, 0, 1), (std::vector<float>{3}));
}

TEST(Initializer, SaysWhatIsWrong) {
  auto problem = [](const InitializerSpec &spec, std::vector<int64_t> shape) {
    return checkInitializer(spec, shape).value_or("nothing");
  };
  EXPECT_EQ(problem({"gaussian", {}, {}, 0}, {4}),
            "unknown initializer 'gaussian'; known are: axis_index, constant, normal, ones, positions, rope_cos, rope_sin, zeros");
  EXPECT_EQ(problem({"normal", {{"variance", 1}}, {}, 0}, {4}),
            "initializer 'normal' has no parameter 'variance'; it has: std, mean, cutoff");
  EXPECT_EQ(problem({"constant", {}, {}, 0}, {4}), "initializer 'constant' needs the parameter 'value'");
  EXPECT_EQ(problem({"rope_cos", {}, {1.0}, 0}, {4, 2}),
            "initializer 'rope_cos' has 1 frequencies for a table of 2 columns");
  EXPECT_EQ(problem({"rope_sin", {}, {1.0}, 0}, {4}),
            "initializer 'rope_sin' fills a table of positions x frequencies, not a tensor of 1 dimensions");
  EXPECT_EQ(problem({"positions", {{"ranks", 2}}, {}, 0}, {8, 2}),
            "initializer 'positions' fills one element per position, not a tensor of 2 dimensions");
  EXPECT_EQ(problem({"positions", {{"ranks", 2}}, {}, 0}, {6}),
            "initializer 'positions' cannot divide 6 positions into two equal chunks for each of 2 ranks");
  EXPECT_EQ(problem({"rope_cos", {{"ranks", 0.5}}, {1.0}, 0}, {4, 1}),
            "initializer 'rope_cos' has ranks = 0.500000, which is no number of ranks");
  EXPECT_EQ(problem({"axis_index", {}, {}, 0}, {}),
            "initializer 'axis_index' needs the mesh axes of which it is the index");
  EXPECT_EQ(problem({"axis_index", {}, {}, 0, {"tp"}}, {1}),
            "initializer 'axis_index' fills a scalar, not a tensor of 1 dimensions");
  EXPECT_EQ(problem({"zeros", {}, {}, 0}, {4}), "nothing");
  float value = 0;
  std::vector<int64_t> shape{4};
  EXPECT_EQ(initialize({"ones", {}, {}, 0}, shape, 0, 3, 5, &value), "elements 3 to 5 are not within a variable of 4");
}

} // namespace

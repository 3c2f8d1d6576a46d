//===- BatchSliceTest.cpp - Every rank reads its part ---------------------===//

#include "runtime/data/BatchSlice.h"
#include "runtime/init/Initializer.h"

#include <algorithm>
#include <gtest/gtest.h>

using namespace primus::runtime;

namespace {

/// Batches of 2 x 4 sequences of 16 tokens.
class BatchSliceTest : public testing::Test {
protected:
  static constexpr int64_t microbatches = 2, batch = 4, length = 16;

  Samples samples{makeMock(7, 1000), 0, 100000, length, 1000, Samples::Order::Shuffled, 7};
  BatchSlice whole{{microbatches, batch, length}, TensorRegion::whole({microbatches, batch, length}), 1};
};

} // namespace

TEST_F(BatchSliceTest, PartsAreThoseOfTheWholeBatch) {
  ASSERT_FALSE(whole.read(samples, 24));
  EXPECT_EQ(whole.getNumSequences(), 8);
  EXPECT_EQ(whole.getNumTokens(), 8 * 16);
  constexpr int64_t sequenceRanks = 2, ownBatch = batch / 2, ownLength = length / sequenceRanks;
  for (int64_t row = 0; row < 2; ++row)
    for (int64_t column = 0; column < sequenceRanks; ++column) {
      TensorRegion region = {{0, row * ownBatch, column * ownLength}, {microbatches, ownBatch, ownLength}};
      BatchSlice part({microbatches, batch, length}, region, sequenceRanks);
      ASSERT_FALSE(part.read(samples, 24));
      EXPECT_EQ(part.getNumSequences(), 8);
      ASSERT_EQ(part.getTokens().size(), size_t(microbatches * ownBatch * ownLength));
      for (int64_t m = 0; m < microbatches; ++m)
        for (int64_t b = 0; b < ownBatch; ++b)
          for (int64_t t = 0; t < ownLength; ++t) {
            int64_t position = getContextPosition(column * ownLength + t, length, sequenceRanks);
            auto from = static_cast<size_t>((m * batch + row * ownBatch + b) * length + position);
            auto to = static_cast<size_t>((m * ownBatch + b) * ownLength + t);
            ASSERT_EQ(part.getTokens()[to], whole.getTokens()[from]);
            ASSERT_EQ(part.getLabels()[to], whole.getLabels()[from]);
          }
    }
}

TEST_F(BatchSliceTest, NothingIsPredictedBeyondTheEnd) {
  ASSERT_FALSE(whole.read(samples, 0, /*end=*/3));
  auto labels = whole.getLabels();
  EXPECT_TRUE(std::ranges::all_of(labels.first(3 * length), [](int32_t label) { return label >= 0; }));
  EXPECT_TRUE(std::ranges::all_of(labels.subspan(3 * length), [](int32_t label) { return label == -1; }));
}

//===- BatchSlice.cpp - The part of a batch that a rank reads -------------===//

#include "runtime/data/BatchSlice.h"

#include "runtime/init/Initializer.h"

#include <algorithm>

using namespace primus::runtime;

/// What cross-entropy passes over.
static constexpr int32_t ignoredLabel = -1;

BatchSlice::BatchSlice(std::vector<int64_t> shape, TensorRegion region, int64_t sequenceRanks) : length(shape.back()) {
  int64_t begin = region.begin.back(), ownLength = region.shape.back();
  shape.pop_back();
  region.begin.pop_back();
  region.shape.pop_back();
  TensorRegion whole = TensorRegion::whole(shape);
  numSequences = whole.getElements();
  forEachCommonRun(region, whole, [&](int64_t, int64_t row, int64_t count) {
    for (int64_t i = 0; i < count; ++i)
      rows.push_back(row + i);
  });
  if (sequenceRanks > 1 || ownLength != length)
    for (int64_t i = begin; i < begin + ownLength; ++i)
      positions.push_back(getContextPosition(i, length, sequenceRanks));
  tokens.resize(rows.size() * static_cast<size_t>(ownLength));
  labels.resize(tokens.size());
  wholeTokens.resize(static_cast<size_t>(length));
  wholeLabels.resize(wholeTokens.size());
}

Error BatchSlice::read(Samples &samples, int64_t first, int64_t end) {
  size_t ownLength = tokens.size() / rows.size();
  for (size_t i = 0; i < rows.size(); ++i) {
    auto rowTokens = std::span(tokens).subspan(i * ownLength, ownLength);
    auto rowLabels = std::span(labels).subspan(i * ownLength, ownLength);
    int64_t sample = first + rows[i];
    bool isWhole = positions.empty();
    if (Error error = samples.read(sample, isWhole ? rowTokens : std::span(wholeTokens),
                                   isWhole ? rowLabels : std::span(wholeLabels)))
      return error;
    for (size_t j = 0; j < positions.size(); ++j) {
      rowTokens[j] = wholeTokens[static_cast<size_t>(positions[j])];
      rowLabels[j] = wholeLabels[static_cast<size_t>(positions[j])];
    }
    if (sample >= end)
      std::ranges::fill(rowLabels, ignoredLabel);
  }
  return Error::success();
}

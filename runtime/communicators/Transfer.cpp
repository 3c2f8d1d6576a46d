//===- Transfer.cpp - What one rank takes from another --------------------===//

#include "runtime/communicators/Transfer.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>
#include <utility>

using namespace primus::runtime;

static int64_t multiply(std::span<const int64_t> sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), int64_t(1), std::multiplies<>());
}

/// How to walk through a box of a packed tensor of `shape` that starts at `beginFirst` and `beginSecond` of the dimensions
/// `first` < `second` and is narrower than the tensor in one of them at most: the outer loop runs over the dimensions
/// before `first`, the middle one from there to `second`, and a run takes the rest.
static StridedBytes walkBox(std::span<const int64_t> shape, size_t first, size_t second, int64_t beginFirst,
                            int64_t beginSecond, int64_t elementBytes) {
  int64_t afterSecond = multiply(shape.subspan(second + 1)) * elementBytes;
  int64_t afterFirst = multiply(shape.subspan(first + 1)) * elementBytes;
  StridedBytes walk;
  walk.outerStride = shape[first] * afterFirst;
  walk.middleStride = shape[second] * afterSecond;
  walk.offset = beginFirst * afterFirst + beginSecond * afterSecond;
  return walk;
}

/// A split of one dimension: whole on one side, one of `groupSize` blocks on the other.
static Transfer splitOne(std::span<const int64_t> shape, size_t dim, int64_t elementBytes, int64_t blockSize) {
  Transfer transfer;
  transfer.outer = multiply(shape.first(dim));
  transfer.run = blockSize * multiply(shape.subspan(dim + 1)) * elementBytes;
  return transfer;
}

static Transfer makeAllToAll(std::span<const int64_t> shape, size_t split, size_t concat, int64_t elementBytes,
                             int groupSize, int from, int to) {
  int64_t block = shape[split] / groupSize;
  if (split == concat) {
    Transfer transfer = splitOne(shape, split, elementBytes, block);
    transfer.source = {to * transfer.run, groupSize * transfer.run, 0};
    transfer.target = {from * transfer.run, groupSize * transfer.run, 0};
    return transfer;
  }
  std::vector<int64_t> target(shape.begin(), shape.end()), box(shape.begin(), shape.end());
  box[split] = target[split] = block;
  target[concat] *= groupSize;
  auto [first, second] = std::minmax(split, concat);
  Transfer transfer;
  transfer.outer = multiply(std::span(box).first(first));
  transfer.middle = multiply(std::span(box).subspan(first, second - first));
  transfer.run = multiply(std::span(box).subspan(second)) * elementBytes;
  bool splitsFirst = split == first;
  transfer.source = walkBox(shape, first, second, splitsFirst ? to * block : 0, splitsFirst ? 0 : to * block, elementBytes);
  transfer.target = walkBox(target, first, second, splitsFirst ? 0 : from * shape[concat],
                            splitsFirst ? from * shape[concat] : 0, elementBytes);
  return transfer;
}

Transfer primus::runtime::makeTransfer(CollectiveKind kind, std::span<const int64_t> shape, int64_t dim,
                                       int64_t secondDim, int64_t elementBytes, int groupSize, int from, int to) {
  Transfer transfer;
  auto d = static_cast<size_t>(dim);
  switch (kind) {
  case CollectiveKind::AllReduce: {
    int64_t elements = multiply(shape);
    int64_t begin = elements * to / groupSize, end = elements * (to + 1) / groupSize;
    transfer.run = (end - begin) * elementBytes;
    transfer.source.offset = transfer.target.offset = begin * elementBytes;
    return transfer;
  }
  case CollectiveKind::Permute:
  case CollectiveKind::Send:
  case CollectiveKind::Receive:
    transfer.run = multiply(shape) * elementBytes;
    return transfer;
  case CollectiveKind::ReduceScatter:
  case CollectiveKind::Block:
    transfer = splitOne(shape, d, elementBytes, shape[d] / groupSize);
    transfer.source = {to * transfer.run, groupSize * transfer.run, 0};
    transfer.target = {0, transfer.run, 0};
    return transfer;
  case CollectiveKind::AllGather:
    transfer = splitOne(shape, d, elementBytes, shape[d]);
    transfer.source = {0, transfer.run, 0};
    transfer.target = {from * transfer.run, groupSize * transfer.run, 0};
    return transfer;
  case CollectiveKind::AllToAll:
    return makeAllToAll(shape, d, static_cast<size_t>(secondDim), elementBytes, groupSize, from, to);
  }
  return transfer;
}

void primus::runtime::copyTransfer(const Transfer &transfer, const std::byte *source, std::byte *target) {
  auto bytes = static_cast<size_t>(transfer.run);
  transfer.forEachRun([&](int64_t from, int64_t to) { std::memcpy(target + to, source + from, bytes); });
}

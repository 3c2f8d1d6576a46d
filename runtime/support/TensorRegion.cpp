//===- TensorRegion.cpp - Boxes of a tensor's elements --------------------===//

#include "runtime/support/TensorRegion.h"

#include <algorithm>

using namespace primus::runtime;

int64_t TensorRegion::getElements() const {
  int64_t elements = 1;
  for (int64_t size : shape)
    elements *= size;
  return elements;
}

bool primus::runtime::overlap(const TensorRegion &a, const TensorRegion &b) {
  for (size_t d = 0; d < a.shape.size(); ++d)
    if (std::max(a.begin[d], b.begin[d]) >= std::min(a.begin[d] + a.shape[d], b.begin[d] + b.shape[d]))
      return false;
  return true;
}

/// The offset of a position among the packed elements of a region.
static int64_t getOffset(const TensorRegion &region, const std::vector<int64_t> &position) {
  int64_t offset = 0;
  for (size_t d = 0; d < position.size(); ++d)
    offset = offset * region.shape[d] + (position[d] - region.begin[d]);
  return offset;
}

void primus::runtime::forEachCommonRun(const TensorRegion &a, const TensorRegion &b, const TakeRun &take) {
  if (!overlap(a, b))
    return;
  size_t rank = a.shape.size();
  std::vector<int64_t> begin(rank), end(rank);
  for (size_t d = 0; d < rank; ++d) {
    begin[d] = std::max(a.begin[d], b.begin[d]);
    end[d] = std::min(a.begin[d] + a.shape[d], b.begin[d] + b.shape[d]);
  }
  // Trailing dimensions that both have whole join the run, and one more; those before are walked through.
  size_t outer = rank;
  int64_t runElements = 1;
  while (outer > 0) {
    --outer;
    int64_t size = end[outer] - begin[outer];
    runElements *= size;
    if (a.shape[outer] != size || b.shape[outer] != size)
      break;
  }
  for (std::vector<int64_t> position = begin;;) {
    take(getOffset(a, position), getOffset(b, position), runElements);
    size_t d = outer;
    while (d > 0 && ++position[d - 1] == end[d - 1]) {
      position[d - 1] = begin[d - 1];
      --d;
    }
    if (d == 0)
      return;
  }
}

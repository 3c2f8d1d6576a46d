//===- TensorRegion.h - Boxes of a tensor's elements ----------------------===//

#ifndef PRIMUS_RUNTIME_SUPPORT_TENSORREGION_H
#define PRIMUS_RUNTIME_SUPPORT_TENSORREGION_H

#include <cstdint>
#include <functional>
#include <vector>

namespace primus::runtime {

/// A box of a tensor's elements. Packed row-major where it is stored by itself.
struct TensorRegion {
  std::vector<int64_t> begin;
  std::vector<int64_t> shape;

  /// All of a tensor.
  static TensorRegion whole(std::vector<int64_t> shape) { return {std::vector<int64_t>(shape.size(), 0), shape}; }

  /// The product of the sizes, which the caller knows not to overflow.
  int64_t getElements() const;

  bool operator==(const TensorRegion &) const = default;
};

/// Takes `count` elements that follow each other in both of two regions, from these offsets in their packed elements.
using TakeRun = std::function<void(int64_t offsetInA, int64_t offsetInB, int64_t count)>;

/// Hands over the elements that two regions of one tensor have in common, in row-major order, in runs that are as long as
/// both allow.
void forEachCommonRun(const TensorRegion &a, const TensorRegion &b, const TakeRun &take);

/// Whether regions of one tensor have an element in common.
bool overlap(const TensorRegion &a, const TensorRegion &b);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_SUPPORT_TENSORREGION_H

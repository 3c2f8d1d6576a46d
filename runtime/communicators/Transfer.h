//===- Transfer.h - What one rank takes from another ----------------------===//

#ifndef PRIMUS_RUNTIME_COMMUNICATORS_TRANSFER_H
#define PRIMUS_RUNTIME_COMMUNICATORS_TRANSFER_H

#include "runtime/executable/Collectives.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace primus::runtime {

/// One side of a transfer: equal runs of bytes at places that two nested loops walk through.
struct StridedBytes {
  int64_t offset = 0;
  int64_t outerStride = 0;
  int64_t middleStride = 0;
};

/// Bytes that go from one tensor into another: outer x middle runs. All numbers are bytes or counts.
struct Transfer {
  int64_t outer = 1;
  int64_t middle = 1;
  int64_t run = 0;
  StridedBytes source;
  StridedBytes target;

  int64_t getBytes() const { return outer * middle * run; }

  /// Calls use(offset in source, offset in target) for each run.
  template <typename Use>
  void forEachRun(Use use) const {
    for (int64_t i = 0; i < outer; ++i)
      for (int64_t j = 0; j < middle; ++j)
        use(source.offset + i * source.outerStride + j * source.middleStride,
            target.offset + i * target.outerStride + j * target.middleStride);
  }
};

/// The geometry of a part: what the group's member `to` takes of the source of member `from`, and where it goes in its
/// target. `shape` is the source's; dimensions are as in the message Part. In a reduction, this is the block that `to`
/// forms, and the same for every `from`; an all_reduce is formed in blocks of the flattened tensor.
Transfer makeTransfer(CollectiveKind kind, std::span<const int64_t> shape, int64_t dim, int64_t secondDim,
                      int64_t elementBytes, int groupSize, int from, int to);

/// Copies what a transfer says.
void copyTransfer(const Transfer &transfer, const std::byte *source, std::byte *target);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_COMMUNICATORS_TRANSFER_H

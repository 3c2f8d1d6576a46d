//===- TensorRegion.h - A box of a tensor's elements ----------------------===//

#ifndef PRIMUS_RUNTIME_SUPPORT_TENSORREGION_H
#define PRIMUS_RUNTIME_SUPPORT_TENSORREGION_H

#include <cstdint>
#include <vector>

namespace primus::runtime {

/// A box of a tensor's elements: its first element, and its size, in each dimension.
struct TensorRegion {
  std::vector<int64_t> begin;
  std::vector<int64_t> shape;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_SUPPORT_TENSORREGION_H

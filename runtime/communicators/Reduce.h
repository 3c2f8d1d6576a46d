//===- Reduce.h - Sums and maxima over ranks ------------------------------===//

#ifndef PRIMUS_RUNTIME_COMMUNICATORS_REDUCE_H
#define PRIMUS_RUNTIME_COMMUNICATORS_REDUCE_H

#include "runtime/executable/Collectives.h"

#include <cstddef>
#include <span>

namespace primus::runtime {

/// target[i] = the reduction of sources[0][i], sources[1][i]..., formed in this order in f32 (f64 for f64, exactly for
/// integers, whose sums wrap around) and rounded once. A maximum with a NaN is NaN. The target may be one of the sources.
/// The type is one that validateReduction accepts.
void reduceElements(Reduction reduction, executable::DataType type, std::span<const std::byte *const> sources,
                    std::byte *target, int64_t count);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_COMMUNICATORS_REDUCE_H

//===- RandomStreams.h - Who draws from which random stream ---------------===//

#ifndef PRIMUS_RUNTIME_DATA_RANDOMSTREAMS_H
#define PRIMUS_RUNTIME_DATA_RANDOMSTREAMS_H

#include <cstdint>

namespace primus::runtime {

/// Streams of the seed's generator (runtime/init/Philox.h). Variables count from 0; everything else lies far above.
inline constexpr uint64_t mockTokenStream = uint64_t(1) << 62;
inline constexpr uint64_t textSamplingStream = mockTokenStream + 1;
/// Plus the number of the epoch.
inline constexpr uint64_t sampleOrderStream = uint64_t(1) << 63;

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_DATA_RANDOMSTREAMS_H

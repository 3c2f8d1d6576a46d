//===- Checksum.h - Detects damage ----------------------------------------===//

#ifndef PRIMUS_RUNTIME_SUPPORT_CHECKSUM_H
#define PRIMUS_RUNTIME_SUPPORT_CHECKSUM_H

#include <cstdint>
#include <string_view>

namespace primus::runtime {

/// CRC-32 (as in gzip) of bytes that follow those of `checksum`; of nothing it is 0.
uint32_t addToChecksum(uint32_t checksum, std::string_view bytes);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_SUPPORT_CHECKSUM_H

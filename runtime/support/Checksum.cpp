//===- Checksum.cpp - Detects damage --------------------------------------===//

#include "runtime/support/Checksum.h"

#include <zlib.h>

uint32_t primus::runtime::addToChecksum(uint32_t checksum, std::string_view bytes) {
  return static_cast<uint32_t>(crc32_z(checksum, reinterpret_cast<const Bytef *>(bytes.data()), bytes.size()));
}

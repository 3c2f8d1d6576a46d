//===- Arena.h - One mapping for all tensors ------------------------------===//

#ifndef PRIMUS_RUNTIME_DEVICES_CPU_ARENA_H
#define PRIMUS_RUNTIME_DEVICES_CPU_ARENA_H

#include "runtime/support/Error.h"

#include <cstddef>
#include <cstdint>

namespace primus::runtime {

/// Anonymous memory of a fixed size, zeroed and present from the start, in huge pages where the system offers them.
class Arena {
public:
  static Expected<Arena> allocate(int64_t bytes);

  Arena(Arena &&other) noexcept;
  Arena &operator=(Arena &&other) noexcept;
  ~Arena();

  std::byte *getData() const { return data; }
  /// As asked for; the mapping is rounded up to whole pages.
  int64_t getBytes() const { return bytes; }

private:
  Arena(std::byte *data, int64_t bytes, size_t mappedBytes) : data(data), bytes(bytes), mappedBytes(mappedBytes) {}

  std::byte *data;
  int64_t bytes;
  size_t mappedBytes;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_DEVICES_CPU_ARENA_H

//===- HipStaging.h - Copies between host and GPU -------------------------===//

#ifndef PRIMUS_RUNTIME_DEVICES_HIP_HIPSTAGING_H
#define PRIMUS_RUNTIME_DEVICES_HIP_HIPSTAGING_H

#include "runtime/devices/hip/HipContext.h"

namespace primus::runtime::hip {

/// Pinned memory of the host, through which tensors are copied in the order of the context's queue.
class Staging {
public:
  static Expected<std::unique_ptr<Staging>> create(Context &context);
  ~Staging();
  Staging(const Staging &) = delete;
  Staging &operator=(const Staging &) = delete;

  static constexpr int64_t bytes = 8 << 20;

  /// Queues the copy; the source can be reused at once. Waits where the memory is full.
  Error upload(void *target, const void *source, int64_t count);
  /// Waits for the queue's work, and for the copy.
  Error download(void *target, const void *source, int64_t count);
  /// Says that the queue is empty: all of the memory is free again.
  void reset() { used = 0; }

private:
  explicit Staging(Context &context) : context(context) {}
  Error initialize();

  Context &context;
  std::byte *memory = nullptr;
  int64_t used = 0;
  Event arrived[2] = {}; ///< of the halves of a download
};

} // namespace primus::runtime::hip

#endif // PRIMUS_RUNTIME_DEVICES_HIP_HIPSTAGING_H

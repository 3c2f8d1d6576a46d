//===- StagingBuffer.h - Bytes on their way to another thread -------------===//

#ifndef PRIMUS_RUNTIME_CHECKPOINT_STAGINGBUFFER_H
#define PRIMUS_RUNTIME_CHECKPOINT_STAGINGBUFFER_H

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <span>
#include <vector>

namespace primus::runtime {

/// Hands bytes from one thread to another, in order, through memory that is allocated once. The producer waits only while
/// the memory is full.
class StagingBuffer {
public:
  /// Allocates `capacity` bytes (at least 1) and touches them, so that the first use is as fast as any.
  explicit StagingBuffer(size_t capacity) : memory(capacity) {}

  size_t getCapacity() const { return memory.size(); }

  /// Empties it for `bytes` that will come. Both threads' turns must be over.
  void start(size_t bytes);

  /// Producer: where the next bytes go, at least one and no more than are still to come, and that they are there. Empty if
  /// the consumer has given up.
  std::span<std::byte> reserve();
  void publish(size_t bytes);

  /// Consumer: the next bytes, at least one, and that they are done with. Empty after the last, or if the producer has
  /// given up.
  std::span<const std::byte> next();
  void release(size_t bytes);

  /// Either: nothing more comes or is taken, and nobody waits.
  void abandon();

private:
  std::vector<std::byte> memory;
  std::mutex mutex;
  std::condition_variable changed;
  /// Counted from the start; they stand in `memory` at their remainders.
  size_t total = 0, published = 0, released = 0;
  bool abandoned = false;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_CHECKPOINT_STAGINGBUFFER_H

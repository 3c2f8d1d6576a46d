//===- Barrier.h - Where threads wait for one another ---------------------===//

#ifndef PRIMUS_RUNTIME_DEVICES_CPU_BARRIER_H
#define PRIMUS_RUNTIME_DEVICES_CPU_BARRIER_H

#include <atomic>
#include <chrono>
#include <cstdint>

namespace primus::runtime {

/// Waits until `value` differs from `old`: spins for as long as a short kernel takes, and then sleeps in the kernel so
/// that a core shared with others is not burnt.
inline void waitForChange(const std::atomic<uint32_t> &value, uint32_t old, std::chrono::nanoseconds spin) {
  if (spin.count() > 0) {
    auto deadline = std::chrono::steady_clock::now() + spin;
    do {
      for (int i = 0; i < 16; ++i) {
        if (value.load(std::memory_order_acquire) != old)
          return;
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
      }
    } while (std::chrono::steady_clock::now() < deadline);
  }
  while (value.load(std::memory_order_acquire) == old)
    value.wait(old, std::memory_order_acquire);
}

/// A reusable barrier. The last thread to arrive runs a function before the others go on.
class Barrier {
public:
  Barrier(int threads, std::chrono::nanoseconds spin) : threads(static_cast<uint32_t>(threads)), spin(spin) {}

  template <typename Function>
  void arriveAndWait(Function onLast) {
    uint32_t present = generation.load(std::memory_order_acquire);
    if (arrived.fetch_add(1, std::memory_order_acq_rel) + 1 < threads)
      return waitForChange(generation, present, spin);
    arrived.store(0, std::memory_order_relaxed);
    onLast();
    generation.store(present + 1, std::memory_order_release);
    generation.notify_all();
  }

private:
  const uint32_t threads;
  const std::chrono::nanoseconds spin;
  // On cache lines of their own: waiting threads read one while arriving threads write the other.
  alignas(64) std::atomic<uint32_t> arrived = 0;
  alignas(64) std::atomic<uint32_t> generation = 0;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_DEVICES_CPU_BARRIER_H

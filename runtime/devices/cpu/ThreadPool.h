//===- ThreadPool.h - Threads that walk a command list together -----------===//

#ifndef PRIMUS_RUNTIME_DEVICES_CPU_THREADPOOL_H
#define PRIMUS_RUNTIME_DEVICES_CPU_THREADPOOL_H

#include "runtime/devices/cpu/Barrier.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <sched.h>
#include <span>
#include <thread>
#include <vector>

namespace primus::runtime {

/// The processors that this process may use.
std::vector<int> getAllowedProcessors();

/// How many threads to use unless told: the allowed processors, or fewer where the process's control group has a quota.
int getDefaultThreads();

/// One command as the pool runs it: `function(context, begin, end)` for ranges that cover [0, items).
struct Task {
  void (*function)(const void *context, int64_t begin, int64_t end);
  const void *context;
  int64_t items;
  /// Too little work to share: the calling thread runs all of it.
  bool serial;
};

/// Persistent threads; the calling thread is one of them. All walk the same list of tasks with a barrier between two, and
/// share the items of each: every thread takes chunks of its own part first and then of the others'. Which thread runs
/// an item is up to chance, so an item's result must not depend on it.
class ThreadPool {
public:
  /// Threads are pinned, one to a processor, if they fill the allowed processors; fewer are left to the scheduler, because
  /// another process may have made the same choice.
  explicit ThreadPool(int threads);
  ~ThreadPool();

  /// Runs the tasks in order. Not to be called by two threads at a time. Allocates nothing.
  void run(std::span<const Task> tasks);

  int getNumThreads() const { return numThreads; }

private:
  /// The part of a task's items that a thread starts with; on a cache line of its own.
  struct alignas(64) Share {
    std::atomic<int64_t> next = 0;
    int64_t end = 0;
  };

  void work(int thread);
  void walk(int thread);
  void divide(const Task &task);
  void runShared(const Task &task, int thread);

  const int numThreads;
  Barrier barrier;
  std::unique_ptr<Share[]> shares;
  int64_t chunk = 1;
  std::span<const Task> tasks;
  std::chrono::nanoseconds spin;
  bool stop = false;
  alignas(64) std::atomic<uint32_t> runs = 0;
  std::vector<std::thread> workers;
  cpu_set_t previousAffinity;
  bool pinned = false;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_DEVICES_CPU_THREADPOOL_H

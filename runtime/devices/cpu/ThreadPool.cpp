//===- ThreadPool.cpp - Threads that walk a command list together ---------===//

#include "runtime/devices/cpu/ThreadPool.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <pthread.h>
#include <string>

using namespace primus::runtime;

std::vector<int> primus::runtime::getAllowedProcessors() {
  cpu_set_t set;
  std::vector<int> processors;
  if (sched_getaffinity(0, sizeof(set), &set) == 0)
    for (int i = 0; i < CPU_SETSIZE; ++i)
      if (CPU_ISSET(i, &set))
        processors.push_back(i);
  if (processors.empty())
    processors.push_back(0);
  return processors;
}

/// The processor time per unit of time that the control group grants (cgroup v2), or nothing if it is not limited.
static int getQuota() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0)
    return INT32_MAX;
  double processors = std::strtod(quota.c_str(), nullptr) / period;
  return std::max(1, static_cast<int>(std::ceil(std::min(processors, 1e6))));
}

int primus::runtime::getDefaultThreads() {
  return std::min(static_cast<int>(getAllowedProcessors().size()), getQuota());
}

/// Longer than the imbalance of a well divided kernel, shorter than what anybody would notice. More threads than
/// processors cannot gain from spinning at all.
static std::chrono::nanoseconds getSpinTime(int threads, size_t processors) {
  return std::chrono::microseconds(static_cast<size_t>(threads) <= processors ? 50 : 0);
}

static void pin(pthread_t thread, int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  // Pinning is an optimisation: where it is refused, the scheduler places the thread.
  (void)pthread_setaffinity_np(thread, sizeof(set), &set);
}

ThreadPool::ThreadPool(int threads)
    : numThreads(std::max(1, threads)), barrier(numThreads, getSpinTime(numThreads, getAllowedProcessors().size())),
      shares(std::make_unique<Share[]>(static_cast<size_t>(numThreads))) {
  std::vector<int> processors = getAllowedProcessors();
  spin = getSpinTime(numThreads, processors.size());
  for (int thread = 1; thread < numThreads; ++thread)
    workers.emplace_back([this, thread] { work(thread); });
  pinned = static_cast<size_t>(numThreads) == processors.size() && numThreads > 1 &&
           pthread_getaffinity_np(pthread_self(), sizeof(previousAffinity), &previousAffinity) == 0;
  if (!pinned)
    return;
  pin(pthread_self(), processors[0]);
  for (size_t i = 0; i < workers.size(); ++i)
    pin(workers[i].native_handle(), processors[i + 1]);
}

ThreadPool::~ThreadPool() {
  stop = true;
  runs.fetch_add(1, std::memory_order_release);
  runs.notify_all();
  for (std::thread &worker : workers)
    worker.join();
  if (pinned)
    (void)pthread_setaffinity_np(pthread_self(), sizeof(previousAffinity), &previousAffinity);
}

void ThreadPool::run(std::span<const Task> newTasks) {
  if (newTasks.empty())
    return;
  tasks = newTasks;
  if (!tasks[0].serial)
    divide(tasks[0]);
  if (numThreads > 1) {
    runs.fetch_add(1, std::memory_order_release);
    runs.notify_all();
  }
  walk(0);
}

void ThreadPool::work(int thread) {
  // Counted from the beginning, not read: a run may have started before this thread did.
  for (uint32_t seen = 0;; ++seen) {
    waitForChange(runs, seen, spin);
    if (stop)
      return;
    walk(thread);
  }
}

void ThreadPool::walk(int thread) {
  // The last barrier lets the caller go on and publish another list, so the member is read once.
  std::span<const Task> list = tasks;
  for (size_t i = 0; i < list.size(); ++i) {
    const Task &task = list[i];
    if (!task.serial)
      runShared(task, thread);
    else if (thread == 0)
      task.function(task.context, 0, task.items);
    // Two neighbours that thread 0 runs alone need no barrier between them.
    bool isLast = i + 1 == list.size();
    if (!isLast && task.serial && list[i + 1].serial)
      continue;
    auto prepareNext = [&] {
      if (!isLast && !list[i + 1].serial)
        divide(list[i + 1]);
    };
    if (numThreads > 1)
      barrier.arriveAndWait(prepareNext);
    else
      prepareNext();
  }
}

void ThreadPool::divide(const Task &task) {
  // Small enough that a thread which lost its processor for a while does not hold up the others for long.
  constexpr int64_t chunksPerThread = 8;
  chunk = std::max<int64_t>(1, task.items / (numThreads * chunksPerThread));
  int64_t quotient = task.items / numThreads, rest = task.items % numThreads, begin = 0;
  for (int thread = 0; thread < numThreads; ++thread) {
    shares[static_cast<size_t>(thread)].next.store(begin, std::memory_order_relaxed);
    begin += quotient + (thread < rest ? 1 : 0);
    shares[static_cast<size_t>(thread)].end = begin;
  }
}

void ThreadPool::runShared(const Task &task, int thread) {
  for (int i = 0; i < numThreads; ++i) {
    Share &share = shares[static_cast<size_t>((thread + i) % numThreads)];
    while (true) {
      int64_t begin = share.next.fetch_add(chunk, std::memory_order_relaxed);
      if (begin >= share.end)
        break;
      task.function(task.context, begin, std::min(begin + chunk, share.end));
    }
  }
}

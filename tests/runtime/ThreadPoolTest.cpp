//===- ThreadPoolTest.cpp - Every item once, in order of the tasks --------===//

#include "runtime/devices/cpu/ThreadPool.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>

using namespace primus::runtime;

namespace {

/// A task that counts how often each item runs, and checks that the task before is complete.
struct Counter {
  std::vector<std::atomic<int>> hits;
  const Counter *previous = nullptr;
  mutable std::atomic<bool> overtaken = false;
  int expected = 0;

  explicit Counter(size_t items) : hits(items) {}
};

void countItems(const void *context, int64_t begin, int64_t end) {
  auto &counter = *static_cast<Counter *>(const_cast<void *>(context));
  if (counter.previous)
    for (const std::atomic<int> &hit : counter.previous->hits)
      if (hit.load(std::memory_order_relaxed) != counter.expected)
        counter.overtaken = true;
  for (int64_t i = begin; i < end; ++i)
    counter.hits[static_cast<size_t>(i)].fetch_add(1, std::memory_order_relaxed);
}

} // namespace

TEST(ThreadPool, RunsEveryItemOnceAndTasksInOrder) {
  std::mt19937 random(7);
  for (int threads : {1, 2, 3, 5, 16}) {
    ThreadPool pool(threads);
    std::vector<std::unique_ptr<Counter>> counters;
    std::vector<Task> tasks;
    for (int i = 0; i < 60; ++i) {
      auto items = static_cast<int64_t>(random() % 4 == 0 ? 1 : random() % 200);
      counters.push_back(std::make_unique<Counter>(static_cast<size_t>(items)));
      counters.back()->previous = i == 0 ? nullptr : counters[static_cast<size_t>(i) - 1].get();
      tasks.push_back({countItems, counters.back().get(), items, random() % 3 == 0});
    }
    constexpr int runs = 20;
    for (int run = 1; run <= runs; ++run) {
      for (auto &counter : counters)
        counter->expected = run;
      pool.run(tasks);
    }
    for (auto &counter : counters) {
      EXPECT_FALSE(counter->overtaken);
      for (std::atomic<int> &hit : counter->hits)
        ASSERT_EQ(hit, runs);
    }
  }
}

TEST(ThreadPool, RestoresTheAffinityOfTheCaller) {
  std::vector<int> before = getAllowedProcessors();
  { ThreadPool pool(static_cast<int>(before.size())); }
  EXPECT_EQ(getAllowedProcessors(), before);
}

TEST(ThreadPool, SleepsWhileItWaits) {
  // Idle workers must leave the processor alone: a second of waiting may cost a few milliseconds.
  ThreadPool pool(4);
  Counter counter(100);
  Task task = {countItems, &counter, 100, false};
  pool.run({&task, 1});
  auto processorTime = [] {
    timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  };
  double before = processorTime();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_LT(processorTime() - before, 0.03);
}

//===- Meeting.h - Where threads wait for one another, with a limit -------===//

#ifndef PRIMUS_RUNTIME_COMMUNICATORS_LOCAL_MEETING_H
#define PRIMUS_RUNTIME_COMMUNICATORS_LOCAL_MEETING_H

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <vector>

namespace primus::runtime {

/// Members pass numbered points in order, and wait for the others there. Unlike at a Barrier (devices/cpu), waiting has an
/// end, and sleeps: ranks of a test outnumber the processors.
class Meeting {
public:
  explicit Meeting(size_t members) : passed(members, 0) {}

  void pass(int member, uint64_t point) {
    {
      std::lock_guard lock(mutex);
      passed[static_cast<size_t>(member)] = point;
    }
    changed.notify_all();
  }

  /// Waits until all members have passed `point`. False if the deadline came first, or `givesUp`.
  bool waitForAll(uint64_t point, std::chrono::steady_clock::time_point deadline, const std::atomic<bool> &givesUp) {
    std::unique_lock lock(mutex);
    return changed.wait_until(lock, deadline, [&] { return givesUp || haveAllPassed(point); }) && !givesUp;
  }

  /// The members that have not passed `point`.
  std::vector<int> findMissing(uint64_t point) {
    std::lock_guard lock(mutex);
    std::vector<int> missing;
    for (size_t i = 0; i < passed.size(); ++i)
      if (passed[i] < point)
        missing.push_back(static_cast<int>(i));
    return missing;
  }

  /// Makes waiting members look at `givesUp` again.
  void wake() {
    // Nobody is between the look and the sleep while this thread has the lock.
    { std::lock_guard lock(mutex); }
    changed.notify_all();
  }

private:
  bool haveAllPassed(uint64_t point) const {
    for (uint64_t own : passed)
      if (own < point)
        return false;
    return true;
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::vector<uint64_t> passed;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_COMMUNICATORS_LOCAL_MEETING_H

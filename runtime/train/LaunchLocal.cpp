//===- LaunchLocal.cpp - Ranks as threads of one process ------------------===//

#include "runtime/communicators/local/LocalCommunicator.h"
#include "runtime/devices/cpu/ThreadPool.h"
#include "runtime/train/Launch.h"

#include <algorithm>
#include <condition_variable>
#include <fmt/format.h>
#include <mutex>
#include <thread>

using namespace primus::runtime;

namespace {

/// The threads of the ranks, which may outlive the wait for them.
class RankThreads {
public:
  RankThreads(Run run, DataSet data, std::vector<std::unique_ptr<Communicator>> communicators)
      : run(std::move(run)), data(std::move(data)), communicators(std::move(communicators)),
        results(this->communicators.size()) {}

  /// Starts all but rank 0, and is rank 0.
  void start(int threadsPerRank) {
    for (size_t rank = 1; rank < results.size(); ++rank)
      threads.emplace_back([this, rank, threadsPerRank] { runOne(rank, threadsPerRank); });
    runOne(0, threadsPerRank);
  }

  /// Waits for all ranks; where one has failed, no longer than it takes them to learn of it. False if some still run.
  bool join() {
    constexpr std::chrono::seconds grace(3);
    {
      std::unique_lock lock(mutex);
      auto allEnded = [&] { return ended == results.size(); };
      while (!allEnded() && !hasFailed)
        changed.wait(lock);
      if (!changed.wait_for(lock, grace, allEnded))
        return false;
    }
    for (std::thread &thread : threads)
      thread.join();
    return true;
  }

  /// Rank 0's error, which names the rank at fault, or else the first.
  Error getError() {
    std::lock_guard lock(mutex);
    for (const RankResult &result : results)
      if (result.error)
        return result.error;
    return Error::success();
  }

private:
  void runOne(size_t rank, int threadsPerRank) {
    RankResult result = runRank(run, data, *communicators[rank], threadsPerRank);
    std::lock_guard lock(mutex);
    hasFailed |= static_cast<bool>(result.error);
    results[rank] = std::move(result);
    ++ended;
    changed.notify_all();
  }

  Run run;
  DataSet data;
  std::vector<std::unique_ptr<Communicator>> communicators;
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<RankResult> results;
  size_t ended = 0;
  bool hasFailed = false;
};

} // namespace

LaunchResult primus::runtime::launchLocal(Run &run, PrepareRun prepare) {
  bool isDone = false;
  if (Error error = prepare(run, isDone); error || isDone)
    return {std::move(error)};
  int ranks = static_cast<int>(std::max<int64_t>(run.executable.world_size(), 1));
  if (run.options.ranks > 0 && run.options.ranks != ranks)
    return {Error::configuration(fmt::format("--ranks {}: '{}' is compiled for {}", run.options.ranks,
                                             run.options.input, ranks))};
  constexpr int most = 1024;
  if (ranks > most)
    return {Error::configuration(fmt::format("{} ranks are too many for the threads of one process; start them by mpirun",
                                             ranks))};
  CommunicatorOptions options;
  options.timeoutSeconds = run.options.timeoutSeconds;
  Expected<LinkModel> link = LinkModel::fromEnvironment();
  if (!link)
    return {link.takeError()};
  options.link = *link;
  Expected<DataSet> data = openRunData(run);
  if (!data)
    return {data.takeError()};
  if (Error error = setUpRunLogging(run))
    return {std::move(error)};

  int threads = run.options.threads > 0 ? run.options.threads : getDefaultThreads();
  auto threadsOfRanks =
      std::make_unique<RankThreads>(std::move(run), std::move(*data), createLocalCommunicators(ranks, options));
  threadsOfRanks->start(std::max(1, threads / ranks));
  LaunchResult result;
  result.isStuck = !threadsOfRanks->join();
  result.error = threadsOfRanks->getError();
  // A thread that still runs needs what it runs on.
  if (result.isStuck)
    (void)threadsOfRanks.release();
  return result;
}

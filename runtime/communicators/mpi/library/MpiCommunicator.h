//===- MpiCommunicator.h - Ranks that are processes -----------------------===//
//
// One thread talks to MPI: it starts what the program hands it, goes on with all of it side by side, and notices failures
// and deadlines. Its messages go between pairs of ranks, so that whoever is missing is known by number, and so that a
// reduction's order is ours.
//
//===----------------------------------------------------------------------===//

#ifndef PRIMUS_RUNTIME_COMMUNICATORS_MPI_LIBRARY_MPICOMMUNICATOR_H
#define PRIMUS_RUNTIME_COMMUNICATORS_MPI_LIBRARY_MPICOMMUNICATOR_H

#include "runtime/communicators/mpi/library/MpiCollective.h"

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

namespace primus::runtime {

class MpiCommunicator final : public Communicator {
public:
  /// Starts MPI, and waits until all ranks have. `error` says what went wrong.
  MpiCommunicator(const CommunicatorOptions &options, std::string &error);
  /// Ends MPI, unless the run has failed: then the others might not come.
  ~MpiCommunicator() override;

  std::string_view getName() const override { return "mpi"; }
  int getRank() const override { return rank; }
  int getNumRanks() const override { return numRanks; }
  int64_t getBufferBytes() const override { return bufferBytes; }

  Error getFailure() override;
  Expected<std::vector<std::string>> allGatherBytes(std::string_view bytes) override;

protected:
  void doFail(const std::string &message) override;
  std::unique_ptr<Collective> doPrepare(CollectiveDescription description) override;
  void doStart(Collective &collective) override;
  Error doWait(Collective &collective, Clock::time_point deadline) override;
  Error doRun(Collective &collective, Clock::time_point deadline) override;

private:
  //===--------------------------------------------------------------------===//
  // On any thread
  //===--------------------------------------------------------------------===//

  /// Numbers a collective for its tags, by member, as each member does.
  std::vector<int> number(const CollectiveDescription &description);
  void submit(Operation &operation);
  void submit(Collective &collective);
  Error waitFor(Operation &operation);
  /// Makes `message` the failure if there is none yet, and has the others told if `tellsOthers`.
  void setFailure(const std::string &message, bool tellsOthers);

  //===--------------------------------------------------------------------===//
  // On the thread that talks to MPI
  //===--------------------------------------------------------------------===//

  std::string startMpi();
  void work();
  void take(Operation &operation);
  /// Goes on with everything; true if something was finished.
  bool advance();
  void finish(size_t index, Error result);
  /// Looks for another rank's notice that the run has failed.
  void receiveNotice();
  void sendNotice();
  /// Asks all ranks whether they wait for others, and chooses whom to blame.
  std::vector<int> findLost(const std::vector<int> &missing);
  /// Answers that question of others.
  void answerQuestion();
  void receiveQuestion();
  void giveBuffer(ReducingCollective &collective);

  int rank = 0;
  int numRanks = 1;
  /// How many collectives with each other rank, and messages to it and from it, have been prepared.
  std::map<int, int> prepared, preparedSends, preparedReceives;
  std::atomic<int64_t> bufferBytes = 0;

  std::thread thread;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Operation *> submitted;
  std::string failure;
  bool hasFailed = false;
  bool mustSendNotice = false;
  bool stops = false;

  std::vector<Operation *> active;
  std::vector<char> noticeBytes;
  MPI_Request notice = MPI_REQUEST_NULL;
  PendingMessages notices;
  char questionByte = 0;
  MPI_Request question = MPI_REQUEST_NULL;
  std::vector<char> answerBytes; ///< by rank
  PendingMessages questions, answers;
  /// Free buffers, by size.
  std::multimap<int64_t, std::unique_ptr<std::byte[]>> buffers;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_COMMUNICATORS_MPI_LIBRARY_MPICOMMUNICATOR_H

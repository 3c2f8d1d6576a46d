//===- Operation.h - What is in progress between processes ----------------===//

#ifndef PRIMUS_RUNTIME_COMMUNICATORS_MPI_LIBRARY_OPERATION_H
#define PRIMUS_RUNTIME_COMMUNICATORS_MPI_LIBRARY_OPERATION_H

#include "runtime/communicators/Communicator.h"

#include <mpi.h>

namespace primus::runtime {

/// Messages under way, and whom they are from or for.
class PendingMessages {
public:
  /// Posts a message of at most 2^31 units. MPI's errors end up in getError.
  void send(const void *data, int64_t count, MPI_Datatype type, int rank, int tag) {
    add(rank, /*isReceive=*/false, count, [&](MPI_Request *request) {
      return MPI_Isend(data, static_cast<int>(count), type, rank, tag, MPI_COMM_WORLD, request);
    });
  }
  void receive(void *data, int64_t count, MPI_Datatype type, int rank, int tag) {
    add(rank, /*isReceive=*/true, count, [&](MPI_Request *request) {
      return MPI_Irecv(data, static_cast<int>(count), type, rank, tag, MPI_COMM_WORLD, request);
    });
  }

  /// Looks whether messages have arrived; true if all have.
  bool test();
  bool isEmpty() const { return requests.empty(); }

  /// The ranks whose messages have not come, each once; or else those that have not taken theirs.
  std::vector<int> getMissing() const;
  /// What MPI says went wrong, or nothing.
  const std::string &getError() const { return error; }

private:
  template <typename Post>
  void add(int rank, bool isReceive, int64_t count, Post post) {
    if (count > INT32_MAX)
      return fail("a message of more than 2^31 elements");
    MPI_Request request = MPI_REQUEST_NULL;
    if (int code = post(&request); code != MPI_SUCCESS)
      return fail(describe(code));
    requests.push_back(request);
    peers.push_back({rank, isReceive});
  }

  static std::string describe(int code);
  void fail(const std::string &message) {
    if (error.empty())
      error = message;
  }

  std::vector<MPI_Request> requests;
  struct Peer {
    int rank;
    bool isReceive;
  };
  std::vector<Peer> peers; ///< of each request
  std::vector<int> arrived;
  std::string error;
};

/// Something that goes on step by step, on the thread that talks to MPI.
class Operation {
public:
  virtual ~Operation() = default;

  /// Posts the first messages.
  virtual void begin() = 0;
  /// Goes on as far as possible; true if done.
  virtual bool advance() = 0;
  /// The ranks whose messages are missing.
  virtual std::vector<int> getMissing() const = 0;
  virtual std::string getError() const = 0;
  virtual std::string getName() const = 0;

  /// Set by whoever starts it, before, and by the thread, at the end. What is sent goes at `sendTime` at the earliest.
  std::chrono::steady_clock::time_point sendTime, deadline;
  bool isDone = true;
  Error result = Error::success();
};

/// Messages between two ranks are told apart by tags: of an operation's number, its phase and its round. Collectives that
/// both take part in, and messages from one to the other, are numbered each for themselves. Number 0 is the host's.
constexpr int roundsOfTag = 32, phasesOfTag = 3, messagePhase = 2;
constexpr int getTag(int number, int phase, int64_t round) {
  return (number * phasesOfTag + phase) * roundsOfTag + static_cast<int>(round % roundsOfTag);
}
constexpr int failureTag = getTag(0, 0, 0), sizeTag = getTag(0, 0, 1), bytesTag = getTag(0, 0, 2);
constexpr int questionTag = getTag(0, 0, 3), answerTag = getTag(0, 0, 4);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_COMMUNICATORS_MPI_LIBRARY_OPERATION_H

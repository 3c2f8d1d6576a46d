//===- Communicator.h - How ranks talk ------------------------------------===//
//
// One object per rank. The ranks of a group prepare and start its collectives in the same order, and so do two ranks with
// the messages from one to the other, which count as collectives too. Every wait ends: with what was waited for, or with an
// error that names the ranks that did not come within the timeout, or the rank that failed. After the first such error the
// run is over: every later call returns it too.
//
//===----------------------------------------------------------------------===//

#ifndef PRIMUS_RUNTIME_COMMUNICATORS_COMMUNICATOR_H
#define PRIMUS_RUNTIME_COMMUNICATORS_COMMUNICATOR_H

#include "runtime/communicators/Transfer.h"
#include "runtime/support/Error.h"

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace primus::runtime {

/// A collective of one rank, with the addresses of its tensors.
struct CollectiveDescription {
  struct Part {
    std::vector<int64_t> shape; ///< of the source
    int64_t dim = 0;
    int64_t secondDim = 0;
    std::byte *source = nullptr;
    std::byte *target = nullptr;
  };

  CollectiveKind kind;
  Reduction reduction = Reduction::Sum;
  executable::DataType type;
  int64_t elementBytes;
  int64_t shift = 0;      ///< of a permute
  std::vector<int> group; ///< ranks, by their number in the group; of a message: who sends and who receives
  int index = 0;          ///< this rank's number in it
  /// Its ranks run different programs, as the stages of a pipeline do.
  bool isBetweenStages = false;
  std::vector<Part> parts;
  std::string name; ///< for messages

  int getGroupSize() const { return static_cast<int>(group.size()); }
  /// What keeps its order: collectives of one group, or messages (true) from one rank to another.
  using Channel = std::pair<bool, std::vector<int>>;
  Channel getChannel() const { return {isMessage(kind), group}; }
  /// The number in the group of the rank from which a permute takes.
  int getPermuteSource() const;
  /// Whether anything goes from rank to rank.
  bool isLocal() const { return kind == CollectiveKind::Block || group.size() == 1; }
  /// What member `to` takes of member `from`'s source of a part.
  Transfer getTransfer(const Part &part, int from, int to) const;
  /// Bytes that this rank has to send.
  int64_t getSentBytes() const;
};

/// A model of the network between ranks, for experiments where there is none: a rank has a link for each of its channels,
/// and a collective ends no earlier than its latency and the bytes that the rank sends take there, one after the other.
struct LinkModel {
  double latencySeconds = 0;  ///< per collective
  double bytesPerSecond = 0; ///< 0: unlimited
  /// Nothing is delayed: it is computed how long each rank would wait had it a processor of its own. Time is what the
  /// rank's thread computes between its calls, and these waits. Ranks that run one program are taken to compute alike;
  /// between the stages of a pipeline whoever is ahead waits for the others.
  bool onProcessorTime = false;

  bool isActive() const { return latencySeconds > 0 || bytesPerSecond > 0; }

  /// The model that the environment variable PRIMUS_LINK describes: "latency=50e-6,bandwidth=1e9", in seconds and bytes
  /// per second, either of them left out or 0 for none; "clock=processor" for processor time. Inactive where it is not
  /// set.
  static Expected<LinkModel> fromEnvironment();
};

struct CommunicatorOptions {
  /// How long a rank waits for another.
  double timeoutSeconds = 600;
  LinkModel link;
};

/// A collective that a communicator has made ready; it may run any number of times, one at a time.
class Collective {
public:
  explicit Collective(CollectiveDescription description) : description(std::move(description)) {}
  virtual ~Collective() = default;

  const CollectiveDescription &getDescription() const { return description; }

private:
  friend class Communicator;

  CollectiveDescription description;
  /// When the modelled link of its group is free, and when it will have carried this collective.
  std::chrono::steady_clock::time_point *linkIsFree = nullptr;
  std::chrono::steady_clock::time_point linkIsDone;
};

class Communicator {
public:
  using Clock = std::chrono::steady_clock;

  explicit Communicator(const CommunicatorOptions &options) : options(options) {}
  virtual ~Communicator() = default;

  virtual std::string_view getName() const = 0;
  virtual int getRank() const = 0;
  virtual int getNumRanks() const = 0;
  /// Memory for messages on their way, beside the tensors.
  virtual int64_t getBufferBytes() const = 0;
  const CommunicatorOptions &getOptions() const { return options; }
  /// How long waits that begin from now on take at most.
  void setTimeout(double seconds) { options.timeoutSeconds = seconds; }

  /// Makes a collective ready. The communicator and the tensors have to outlive it.
  std::unique_ptr<Collective> prepare(CollectiveDescription description);

  /// Starts a collective and returns at once. Its tensors are the communicator's until `wait` returns. Collectives of
  /// different groups go on side by side.
  void start(Collective &collective);
  /// Waits until a started collective is done.
  Error wait(Collective &collective);
  /// Both at once, which a communicator may do in a simpler way.
  Error run(Collective &collective);

  /// Whether this rank may go on waiting for what it has started on a device: an error if another rank has failed, or did
  /// not come within the timeout.
  virtual Error checkProgress() { return getFailure(); }

  /// How long `wait` and `run` have taken so far.
  double getWaitSeconds() const { return waitSeconds; }
  /// For how long of that nothing but the modelled link was waited for.
  double getLinkSeconds() const { return toSeconds(waitedForLink); }
  /// Processor time of the rank's thread between collectives, from the first one on.
  double getComputeSeconds() const { return toSeconds(computed); }
  /// The present on the clock of the modelled links: with processor time, what this rank has computed and waited for links
  /// since its first collective; else the steady clock.
  double getSeconds() const;

  /// Tells the other ranks that this one cannot go on, so that they need not wait for the timeout. `message` is what went
  /// wrong. Takes a moment at most.
  void fail(const std::string &message) { doFail(nameRank(message)); }
  /// `message` of this rank with its number, unless it names a rank already: all have the errors that they agree on.
  std::string nameRank(const std::string &message) const;
  /// The error of a rank that failed or was lost, if that is known; waits for nothing.
  virtual Error getFailure() = 0;

  //===--------------------------------------------------------------------===//
  // Of the host: all ranks call them in the same order.
  //===--------------------------------------------------------------------===//

  /// The bytes of all ranks, by rank.
  virtual Expected<std::vector<std::string>> allGatherBytes(std::string_view bytes) = 0;
  /// Waits until all ranks are there.
  Error barrier();
  /// The root's bytes, on all ranks; those of the others are ignored.
  Expected<std::string> broadcast(std::string_view bytes, int root = 0);
  /// The reduction of the ranks' numbers, formed in the order of ranks, at each place.
  Error allReduce(std::span<double> values, Reduction reduction);
  /// Makes one error of all ranks' errors: that of the first rank that has one, as it is, so that all end alike.
  Error agree(Error error);

protected:
  virtual void doFail(const std::string &message) = 0;
  virtual std::unique_ptr<Collective> doPrepare(CollectiveDescription description) = 0;
  virtual void doStart(Collective &collective) = 0;
  virtual Error doWait(Collective &collective, Clock::time_point deadline) = 0;
  virtual Error doRun(Collective &collective, Clock::time_point deadline) = 0;

  /// When the modelled link will have carried what a collective has been started for. A communicator that knows better,
  /// from the other ranks', may change it before its wait returns.
  static Clock::time_point &getArrival(Collective &collective) { return collective.linkIsDone; }

  /// When a wait that begins now gives up.
  Clock::time_point getDeadline() const;
  /// The message about ranks that did not come within the timeout. `ranks` is not empty.
  std::string describeLost(const std::vector<int> &ranks, std::string_view where) const;
  /// Which of the ranks that are missing somewhere, or of all those that they may be waiting for in turn, to blame:
  /// `isWaiting` says of every rank whether it waits for others itself.
  static std::vector<int> chooseLost(const std::vector<int> &missing, const std::vector<bool> &isWaiting);

  /// Says, while it exists, that this rank's program waits for others.
  class WaitScope {
  public:
    explicit WaitScope(Communicator &communicator) : communicator(communicator) { communicator.isInWait = true; }
    ~WaitScope() { communicator.isInWait = false; }
    WaitScope(const WaitScope &) = delete;
    WaitScope &operator=(const WaitScope &) = delete;

  private:
    Communicator &communicator;
  };
  bool isWaiting() const { return isInWait; }

private:
  /// Counts what the thread has computed since its last collective; the present on the links' clock.
  Clock::time_point enter();
  /// What the thread does from here on is its own.
  void leave();
  void occupyLink(Collective &collective, Clock::time_point now);
  /// Does the rest of a wait that began at `start`, on the links' clock at `now`, and ended with `error`.
  Error finishWait(Collective &collective, Clock::time_point start, Clock::time_point now, Error error);
  static double toSeconds(Clock::duration time) { return std::chrono::duration<double>(time).count(); }

  CommunicatorOptions options;
  std::map<CollectiveDescription::Channel, Clock::time_point> links;
  double waitSeconds = 0;
  Clock::duration waitedForLink{}, computed{};
  /// The thread's processor time when it left its last collective.
  std::optional<Clock::duration> left;
  std::atomic<bool> isInWait = false;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_COMMUNICATORS_COMMUNICATOR_H

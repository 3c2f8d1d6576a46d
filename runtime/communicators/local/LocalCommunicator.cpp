//===- LocalCommunicator.cpp - Ranks that are threads of one process ------===//

#include "runtime/communicators/local/LocalCommunicator.h"

#include "runtime/communicators/Reduce.h"
#include "runtime/communicators/local/Meeting.h"

#include <algorithm>
#include <fmt/format.h>
#include <functional>
#include <map>
#include <numeric>
#include <thread>

using namespace primus::runtime;

namespace {

class LocalCollective;

/// Where the members of a group run one of its collectives, over and over.
struct Place {
  explicit Place(size_t members) : meeting(members), descriptions(members), arrivals(members) {}

  Meeting meeting;
  /// Of the members; read after the member has come to the meeting.
  std::vector<const CollectiveDescription *> descriptions;
  std::vector<Communicator::Clock::time_point> arrivals;
};

/// What the ranks share.
class World {
public:
  explicit World(int ranks) : host(static_cast<size_t>(ranks)), posts(static_cast<size_t>(ranks)) {}

  /// The place of a channel's collective number `number`.
  std::shared_ptr<Place> getPlace(const CollectiveDescription::Channel &channel, int number) {
    std::lock_guard lock(mutex);
    std::shared_ptr<Place> &place = places[{channel, number}];
    if (!place)
      place = std::make_shared<Place>(channel.second.size());
    return place;
  }

  void fail(const std::string &message) {
    std::lock_guard lock(mutex);
    if (failed)
      return;
    failure = message;
    failed = true;
    host.wake();
    for (auto &[key, place] : places)
      place->meeting.wake();
  }

  Error getFailure() {
    if (!failed)
      return Error::success();
    std::lock_guard lock(mutex);
    return Error::failure(failure);
  }

  int getNumRanks() const { return static_cast<int>(posts.size()); }

  std::vector<bool> findWaiting() const {
    std::vector<bool> found;
    for (const std::function<bool()> &rankIsWaiting : isWaiting)
      found.push_back(rankIsWaiting());
    return found;
  }

  std::atomic<bool> failed = false;
  /// Whether each rank's program waits for others.
  std::vector<std::function<bool()>> isWaiting;
  /// For allGatherBytes, with what each rank shows the others there.
  Meeting host;
  std::vector<std::string_view> posts;

private:
  std::mutex mutex;
  std::string failure;
  std::map<std::pair<CollectiveDescription::Channel, int>, std::shared_ptr<Place>> places;
};

class Worker;

class LocalCollective final : public Collective {
public:
  LocalCollective(CollectiveDescription given, std::shared_ptr<Place> place, Worker &worker)
      : Collective(std::move(given)), place(std::move(place)), worker(worker),
        sources(getDescription().group.size()) {
    const CollectiveDescription &own = getDescription();
    for (const CollectiveDescription::Part &part : own.parts)
      for (int from = 0; from < own.getGroupSize(); ++from)
        transfers.push_back(own.getTransfer(part, from, own.index));
  }

  /// What this member takes of member `from`'s source of a part.
  const Transfer &getTransfer(size_t part, int from) const {
    return transfers[part * sources.size() + static_cast<size_t>(from)];
  }

  std::shared_ptr<Place> place;
  Worker &worker; ///< of the channel
  std::vector<Transfer> transfers;
  /// Scratch of a reduction.
  std::vector<const std::byte *> sources;
  uint64_t point = 0;

  /// Of a collective that was started: what comes after it in the queue, and how it ended.
  LocalCollective *next = nullptr;
  bool isDone = true;
  Error result = Error::success();
};

/// Runs what is started, in order, on a thread of its own.
class Worker {
public:
  explicit Worker(std::function<Error(LocalCollective &)> run) : run(std::move(run)) {}
  ~Worker();

  void start(LocalCollective &collective);
  Error wait(LocalCollective &collective);

private:
  void work();

  std::function<Error(LocalCollective &)> run;
  std::thread thread;
  std::mutex mutex;
  std::condition_variable changed;
  LocalCollective *first = nullptr, *last = nullptr;
  bool stops = false;
};

class LocalCommunicator final : public Communicator {
public:
  LocalCommunicator(std::shared_ptr<World> world, int rank, const CommunicatorOptions &options)
      : Communicator(options), world(std::move(world)), rank(rank), everyone(static_cast<size_t>(getNumRanks())) {
    std::iota(everyone.begin(), everyone.end(), 0);
    this->world->isWaiting.push_back([this] { return isWaiting(); });
  }

  std::string_view getName() const override { return "local"; }
  int getRank() const override { return rank; }
  int getNumRanks() const override { return world->getNumRanks(); }
  int64_t getBufferBytes() const override { return 0; }

  Error getFailure() override { return world->getFailure(); }
  Expected<std::vector<std::string>> allGatherBytes(std::string_view bytes) override;

protected:
  void doFail(const std::string &message) override { world->fail(message); }
  std::unique_ptr<Collective> doPrepare(CollectiveDescription description) override;
  void doStart(Collective &collective) override;
  Error doWait(Collective &collective, Clock::time_point deadline) override;
  Error doRun(Collective &collective, Clock::time_point deadline) override;

private:
  /// Passes a point of a meeting and waits for the others there. `group` names the members.
  Error meet(Meeting &meeting, int member, uint64_t point, std::span<const int> group, std::string_view where,
             Clock::time_point deadline);

  std::shared_ptr<World> world;
  int rank;
  uint64_t hostPoint = 0;
  std::vector<int> everyone; ///< all ranks

  /// What a channel has had prepared, and what its collectives run on in the background.
  struct Channel {
    int prepared = 0;
    std::unique_ptr<Worker> worker;
  };
  std::map<CollectiveDescription::Channel, Channel> channels;
};

} // namespace

//===----------------------------------------------------------------------===//
// One collective
//===----------------------------------------------------------------------===//

static void copyPart(const Transfer &transfer, const std::byte *source, std::byte *target) {
  if (source + transfer.source.offset != target + transfer.target.offset)
    copyTransfer(transfer, source, target);
}

/// Forms this member's block of a part.
static void reducePart(LocalCollective &collective, size_t part) {
  const CollectiveDescription &own = collective.getDescription();
  collective.getTransfer(part, own.index).forEachRun([&](int64_t source, int64_t target) {
    for (size_t i = 0; i < collective.sources.size(); ++i)
      collective.sources[i] = collective.place->descriptions[i]->parts[part].source + source;
    reduceElements(own.reduction, own.type, collective.sources, own.parts[part].target + target,
                   collective.getTransfer(part, own.index).run / own.elementBytes);
  });
}

/// Takes what this member gets of the others' sources, which are all there.
static void takeSources(LocalCollective &collective) {
  const CollectiveDescription &own = collective.getDescription();
  if (own.kind == CollectiveKind::Send)
    return;
  for (size_t part = 0; part < own.parts.size(); ++part) {
    std::byte *target = own.parts[part].target;
    if (own.kind == CollectiveKind::AllReduce || own.kind == CollectiveKind::ReduceScatter) {
      reducePart(collective, part);
      continue;
    }
    bool isPermute = own.kind == CollectiveKind::Permute;
    int begin = isPermute ? own.getPermuteSource() : 0;
    int end = isPermute || own.kind == CollectiveKind::Receive ? begin + 1 : own.getGroupSize();
    for (int from = begin; from < end; ++from)
      copyPart(collective.getTransfer(part, from),
               collective.place->descriptions[static_cast<size_t>(from)]->parts[part].source, target);
  }
}

/// Takes the blocks that the others have reduced.
static void takeReducedBlocks(const LocalCollective &collective) {
  const CollectiveDescription &own = collective.getDescription();
  for (size_t part = 0; part < own.parts.size(); ++part)
    for (int from = 0; from < own.getGroupSize(); ++from) {
      if (from == own.index)
        continue;
      const CollectiveDescription &other = *collective.place->descriptions[static_cast<size_t>(from)];
      copyTransfer(own.getTransfer(own.parts[part], from, from), other.parts[part].target, own.parts[part].target);
    }
}

static void runAlone(const CollectiveDescription &own) {
  for (const CollectiveDescription::Part &part : own.parts)
    copyPart(own.getTransfer(part, own.index, own.index), part.source, part.target);
}

/// When a member has what it gets, as far as the modelled links are concerned: whoever receives waits for whoever sends.
static Communicator::Clock::time_point findArrival(const LocalCollective &collective) {
  const CollectiveDescription &own = collective.getDescription();
  const auto &arrivals = collective.place->arrivals;
  if (isMessage(own.kind))
    return arrivals.front();
  bool isAlone = !own.isBetweenStages;
  return isAlone ? arrivals[static_cast<size_t>(own.index)] : *std::max_element(arrivals.begin(), arrivals.end());
}

Error LocalCommunicator::doRun(Collective &base, Clock::time_point deadline) {
  auto &collective = static_cast<LocalCollective &>(base);
  const CollectiveDescription &own = collective.getDescription();
  collective.place->arrivals[static_cast<size_t>(own.index)] = getArrival(collective);
  if (own.isLocal()) {
    runAlone(own);
    return Error::success();
  }
  auto meetGroup = [&] {
    return meet(collective.place->meeting, own.index, ++collective.point, own.group, own.name, deadline);
  };
  if (Error error = meetGroup())
    return error;
  getArrival(collective) = findArrival(collective);
  takeSources(collective);
  if (own.kind == CollectiveKind::AllReduce) {
    if (Error error = meetGroup())
      return error;
    takeReducedBlocks(collective);
  }
  // Nobody changes its tensors while another may still read them.
  return meetGroup();
}

Error LocalCommunicator::meet(Meeting &meeting, int member, uint64_t point, std::span<const int> group,
                              std::string_view where, Clock::time_point deadline) {
  meeting.pass(member, point);
  if (meeting.waitForAll(point, deadline, world->failed))
    return Error::success();
  if (!world->failed) {
    std::vector<int> missing = meeting.findMissing(point);
    for (int &other : missing)
      other = group[static_cast<size_t>(other)];
    if (!missing.empty())
      missing = chooseLost(missing, world->findWaiting());
    // They may have come in the meantime, but the others have been told otherwise by now.
    world->fail(missing.empty() ? fmt::format("the timeout of {:g} seconds has passed", getOptions().timeoutSeconds)
                                : describeLost(missing, where));
  }
  return world->getFailure();
}

//===----------------------------------------------------------------------===//
// In the background
//===----------------------------------------------------------------------===//

Worker::~Worker() {
  {
    std::lock_guard lock(mutex);
    stops = true;
  }
  changed.notify_all();
  if (thread.joinable())
    thread.join();
}

void Worker::start(LocalCollective &collective) {
  {
    std::lock_guard lock(mutex);
    collective.isDone = false;
    collective.next = nullptr;
    (last ? last->next : first) = &collective;
    last = &collective;
    if (!thread.joinable())
      thread = std::thread([this] { work(); });
  }
  changed.notify_all();
}

Error Worker::wait(LocalCollective &collective) {
  std::unique_lock lock(mutex);
  // What runs keeps to a deadline, so that this ends.
  changed.wait(lock, [&] { return collective.isDone; });
  return collective.result;
}

void Worker::work() {
  std::unique_lock lock(mutex);
  while (true) {
    changed.wait(lock, [&] { return stops || first; });
    if (!first)
      return;
    LocalCollective &collective = *first;
    lock.unlock();
    Error result = run(collective);
    lock.lock();
    first = collective.next;
    if (!first)
      last = nullptr;
    collective.result = std::move(result);
    collective.isDone = true;
    changed.notify_all();
  }
}

std::unique_ptr<Collective> LocalCommunicator::doPrepare(CollectiveDescription description) {
  Channel &channel = channels[description.getChannel()];
  if (!channel.worker)
    channel.worker = std::make_unique<Worker>([this](LocalCollective &collective) { return doRun(collective, getDeadline()); });
  std::shared_ptr<Place> place = world->getPlace(description.getChannel(), channel.prepared++);
  auto collective = std::make_unique<LocalCollective>(std::move(description), place, *channel.worker);
  const CollectiveDescription &own = collective->getDescription();
  place->descriptions[static_cast<size_t>(own.index)] = &own;
  return collective;
}

void LocalCommunicator::doStart(Collective &base) {
  auto &collective = static_cast<LocalCollective &>(base);
  collective.worker.start(collective);
}

Error LocalCommunicator::doWait(Collective &base, Clock::time_point) {
  auto &collective = static_cast<LocalCollective &>(base);
  return collective.worker.wait(collective);
}

//===----------------------------------------------------------------------===//
// Of the host
//===----------------------------------------------------------------------===//

Expected<std::vector<std::string>> LocalCommunicator::allGatherBytes(std::string_view bytes) {
  WaitScope scope(*this);
  auto meetAll = [&] {
    return meet(world->host, rank, ++hostPoint, everyone, "an exchange between all ranks", getDeadline());
  };
  world->posts[static_cast<size_t>(rank)] = bytes;
  if (Error error = meetAll())
    return error;
  std::vector<std::string> all(world->posts.begin(), world->posts.end());
  if (Error error = meetAll())
    return error;
  return all;
}

std::vector<std::unique_ptr<Communicator>> primus::runtime::createLocalCommunicators(int ranks,
                                                                                     const CommunicatorOptions &options) {
  auto world = std::make_shared<World>(ranks);
  std::vector<std::unique_ptr<Communicator>> communicators;
  for (int rank = 0; rank < ranks; ++rank)
    communicators.push_back(std::make_unique<LocalCommunicator>(world, rank, options));
  return communicators;
}

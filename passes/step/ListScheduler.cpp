//===- ListScheduler.cpp - An order in which communication is hidden ------===//

#include "passes/step/ListScheduler.h"

using namespace mlir;
using namespace primus;
using namespace primus::step;

namespace {

/// Simulates one stream that computes and one for the collectives of each list of axes.
class Scheduler {
public:
  Scheduler(const ActionGraph &graph, int64_t bucketBytes);

  SmallVector<Scheduled> run();

private:
  struct State {
    enum { Open, Running, Done } phase = Open;
    /// When a collective has finished.
    double finish = 0;
    /// The collective that stands for its bucket.
    unsigned bucket = 0;
  };

  /// Open actions that may be under way: those of the first unfinished group and of the next one, whose `before` have been run, or at least
  /// started where they are collectives.
  SmallVector<unsigned> getReady() const;
  /// When the collectives that the action needs have finished.
  double getStart(unsigned index) const {
    double start = 0;
    for (unsigned before : actions[index].before)
      if (states[before].phase == State::Running)
        start = std::max(start, states[before].finish);
    return start;
  }
  bool canJoin(unsigned bucket, unsigned index) const;
  bool startCollective(ArrayRef<unsigned> ready);
  void waitFor(unsigned index);
  void run(unsigned index);
  /// Whether an action is left to run or to start.
  bool advance();

  ArrayRef<Action> actions;
  const int64_t bucketBytes;
  SmallVector<State> states;
  double now = 0;
  llvm::DenseMap<Attribute, double> streams;
  /// All actions by group, then in the block's order; none before `firstOpen` is open.
  SmallVector<unsigned> byGroup;
  size_t firstOpen = 0;
  DenseMap<unsigned, SmallVector<unsigned>> buckets;
  SmallVector<Scheduled> order;
};

} // namespace

Scheduler::Scheduler(const ActionGraph &graph, int64_t bucketBytes)
    : actions(graph.actions), bucketBytes(bucketBytes), states(actions.size()), byGroup(llvm::to_vector(llvm::seq<unsigned>(0, actions.size()))) {
  llvm::stable_sort(byGroup, [&](unsigned a, unsigned b) { return actions[a].group < actions[b].group; });
}

bool Scheduler::advance() {
  while (firstOpen < byGroup.size() && states[byGroup[firstOpen]].phase != State::Open)
    ++firstOpen;
  return firstOpen < byGroup.size();
}

SmallVector<unsigned> Scheduler::getReady() const {
  SmallVector<unsigned> ready;
  unsigned lastGroup = actions[byGroup[firstOpen]].group + 1;
  for (unsigned index : ArrayRef(byGroup).drop_front(firstOpen)) {
    if (actions[index].group > lastGroup)
      break;
    bool isReady = llvm::all_of(actions[index].before, [&](unsigned before) { return states[before].phase != State::Open; });
    if (isReady && states[index].phase == State::Open)
      ready.push_back(index);
  }
  return ready;
}

void Scheduler::waitFor(unsigned index) {
  for (unsigned before : actions[index].before) {
    if (states[before].phase != State::Running)
      continue;
    unsigned bucket = states[before].bucket;
    order.push_back({Scheduled::Wait, {bucket}});
    now = std::max(now, states[before].finish);
    for (unsigned member : buckets[bucket])
      states[member].phase = State::Done;
  }
}

bool Scheduler::canJoin(unsigned bucket, unsigned index) const {
  CollectiveOp a = actions[bucket].collective, b = actions[index].collective;
  return a.getKind() == b.getKind() && a.getAxes() == b.getAxes() && a.getReduction() == b.getReduction() && a.getShift() == b.getShift() &&
         getElementTypeOrSelf(a.getSources().front().getType()) == getElementTypeOrSelf(b.getSources().front().getType()) &&
         actions[bucket].group == actions[index].group;
}

/// Starts the first collective that can start, with others that can join it.
bool Scheduler::startCollective(ArrayRef<unsigned> ready) {
  SmallVector<unsigned> bucket;
  int64_t bytes = 0;
  for (unsigned index : ready) {
    CollectiveOp collective = actions[index].collective;
    // Whoever needs another collective's result waits until that would have finished.
    if (!collective || getStart(index) > now)
      continue;
    if (!bucket.empty() && (!canJoin(bucket.front(), index) || bytes + collective.getBytesSent() > bucketBytes))
      continue;
    bucket.push_back(index);
    bytes += collective.getBytesSent();
  }
  if (bucket.empty())
    return false;
  for (unsigned index : bucket)
    waitFor(index);
  CollectiveOp first = actions[bucket.front()].collective;
  double &stream = streams[first.getAxesAttr()];
  stream = std::max(stream, now);
  for (unsigned index : bucket)
    stream += actions[index].cost;
  for (unsigned index : bucket)
    states[index] = {State::Running, stream, bucket.front()};
  buckets[bucket.front()] = bucket;
  order.push_back({Scheduled::Start, bucket});
  return true;
}

void Scheduler::run(unsigned index) {
  waitFor(index);
  states[index].phase = State::Done;
  now += actions[index].cost;
  order.push_back({Scheduled::Run, {index}});
}

SmallVector<Scheduled> Scheduler::run() {
  while (advance()) {
    SmallVector<unsigned> ready = getReady();
    if (startCollective(ready))
      continue;
    // Of what can run now, first what lets a collective start, the shortest first, and what leads there; if nothing can, what can run soonest.
    auto rank = [&](unsigned index) {
      const Action &action = actions[index];
      bool feeds = llvm::any_of(action.after, [&](unsigned next) { return static_cast<bool>(actions[next].collective); });
      return std::tuple(std::max(getStart(index), now), !feeds, feeds ? action.cost : 0, action.group, !action.leadsToCollective, index);
    };
    unsigned best = *llvm::min_element(ready, [&](unsigned a, unsigned b) { return rank(a) < rank(b); });
    if (actions[best].collective)
      now = getStart(best);
    else
      run(best);
  }
  // What nobody reads in this block is done at its end.
  for (unsigned index = 0; index < actions.size(); ++index)
    if (states[index].phase == State::Running && states[index].bucket == index)
      order.push_back({Scheduled::Wait, {index}});
  return std::move(order);
}

SmallVector<Scheduled> step::schedule(const ActionGraph &graph, int64_t bucketBytes) { return Scheduler(graph, bucketBytes).run(); }

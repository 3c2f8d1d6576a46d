//===- ListScheduler.cpp - An order in which communication is hidden ------===//

#include "passes/step/ListScheduler.h"

#include <set>

using namespace mlir;
using namespace primus;
using namespace primus::step;

namespace {

/// Simulates one stream that computes and one for the collectives of each list of axes.
class Scheduler {
public:
  Scheduler(const ActionGraph &graph, ScheduleLimits limits);

  SmallVector<Scheduled> run();

private:
  struct State {
    enum { Open, Running, Done } phase = Open;
    /// How many of those that must come before are open.
    unsigned missing = 0;
    /// When a collective has finished.
    double finish = 0;
    /// The collective that stands for its bucket.
    unsigned bucket = 0;
  };

  /// Notes that an action has been run, or a collective started.
  void leave(unsigned index);
  /// Open actions that may come next, with nothing open before them.
  SmallVector<unsigned> getReady();
  /// When the collectives that the action needs have finished.
  double getStart(unsigned index) const;
  CollectiveOp getCollective(unsigned index) const { return actions[index].collective; }
  double &getStream(unsigned collective) { return streams[getCollective(collective).getAxesAttr()]; }
  /// The less, the sooner a collective has to take its link: what trails keeps its order behind the others, of which those from which most is left
  /// to do come first.
  auto getUrgency(unsigned collective) const {
    const Action &action = actions[collective];
    return std::tuple(action.trails, action.trails ? action.group : 0, -action.tail);
  }
  /// Of the ready actions that compute the one to run next, if any.
  std::optional<unsigned> chooseComputing(ArrayRef<unsigned> ready) const;
  /// Whether a collective that could start now does better behind `computing`, which runs next.
  bool isBetterBehind(unsigned collective, unsigned computing);
  /// Starts the most urgent collective that can start, unless it is better to compute first.
  bool startCollective(ArrayRef<unsigned> ready, std::optional<unsigned> computing);
  bool canJoin(unsigned bucket, unsigned index) const;
  void waitFor(unsigned index);
  void run(unsigned index);

  ArrayRef<Action> actions;
  const ScheduleLimits limits;
  SmallVector<State> states;
  double now = 0;
  llvm::DenseMap<Attribute, double> streams;
  /// Open actions with nothing open before them, by group.
  std::set<std::pair<unsigned, unsigned>> ready;
  /// Per group: open actions, those that trail apart. No group before the first ones has any.
  SmallVector<unsigned> leading, trailing;
  size_t firstLeading = 0, firstTrailing = 0;
  DenseMap<unsigned, SmallVector<unsigned>> buckets;
  SmallVector<Scheduled> order;
};

} // namespace

Scheduler::Scheduler(const ActionGraph &graph, ScheduleLimits limits) : actions(graph.actions), limits(limits), states(actions.size()) {
  for (auto [index, action] : llvm::enumerate(actions)) {
    size_t groups = std::max<size_t>(leading.size(), action.group + 1);
    leading.resize(groups);
    trailing.resize(groups);
    ++(action.trails ? trailing : leading)[action.group];
    states[index].missing = action.before.size();
    if (action.before.empty())
      ready.insert({action.group, index});
  }
}

void Scheduler::leave(unsigned index) {
  const Action &action = actions[index];
  ready.erase({action.group, index});
  --(action.trails ? trailing : leading)[action.group];
  for (unsigned after : action.after)
    if (--states[after].missing == 0)
      ready.insert({actions[after].group, after});
}

SmallVector<unsigned> Scheduler::getReady() {
  while (firstLeading + 1 < leading.size() && leading[firstLeading] == 0)
    ++firstLeading;
  while (firstTrailing < trailing.size() && trailing[firstTrailing] == 0)
    ++firstTrailing;
  SmallVector<unsigned> allowed;
  for (auto [group, index] : ready) {
    if (group > firstLeading + 1)
      break;
    if (actions[index].trails || group <= firstTrailing + limits.trail)
      allowed.push_back(index);
  }
  return allowed;
}

double Scheduler::getStart(unsigned index) const {
  double start = 0;
  for (unsigned before : actions[index].before)
    if (states[before].phase == State::Running)
      start = std::max(start, states[before].finish);
  return start;
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

void Scheduler::run(unsigned index) {
  waitFor(index);
  states[index].phase = State::Done;
  leave(index);
  now += actions[index].cost;
  order.push_back({Scheduled::Run, {index}});
}

std::optional<unsigned> Scheduler::chooseComputing(ArrayRef<unsigned> ready) const {
  // What can run soonest. Of those, what a finished reduction has left to do, which gives memory back; what lets a collective start, the shortest
  // first; and what leads there.
  auto rank = [&](unsigned index) {
    const Action &action = actions[index];
    return std::tuple(std::max(getStart(index), now), !action.trails, !action.feedsCollective, action.feedsCollective ? action.cost : 0, action.group,
                      !action.leadsToCollective, index);
  };
  std::optional<unsigned> best;
  for (unsigned index : ready)
    if (!actions[index].collective && (!best || rank(index) < rank(*best)))
      best = index;
  return best;
}

bool Scheduler::isBetterBehind(unsigned collective, unsigned computing) {
  const Action &action = actions[collective], &next = actions[computing];
  if (getStart(computing) > now)
    return false;
  // Its link is busy until then: others may come that are needed sooner.
  if (getStream(collective) >= now + next.cost)
    return true;
  // Another one that is needed sooner can take the link first, without leaving it idle for long.
  return next.cost < action.cost && llvm::any_of(next.after, [&](unsigned index) {
           CollectiveOp other = getCollective(index);
           return other && states[index].missing == 1 && other.getAxes() == getCollective(collective).getAxes() &&
                  getUrgency(index) < getUrgency(collective);
         });
}

bool Scheduler::canJoin(unsigned bucket, unsigned index) const {
  CollectiveOp a = getCollective(bucket), b = getCollective(index);
  return a.getKind() == b.getKind() && a.getAxes() == b.getAxes() && a.getReduction() == b.getReduction() && a.getShift() == b.getShift() &&
         getElementTypeOrSelf(a.getSources().front().getType()) == getElementTypeOrSelf(b.getSources().front().getType()) &&
         actions[bucket].group == actions[index].group;
}

bool Scheduler::startCollective(ArrayRef<unsigned> ready, std::optional<unsigned> computing) {
  SmallVector<unsigned> candidates;
  for (unsigned index : ready)
    // Whoever needs another collective's result waits until that would have finished.
    if (actions[index].collective && getStart(index) <= now && !(computing && isBetterBehind(index, *computing)))
      candidates.push_back(index);
  if (candidates.empty())
    return false;
  llvm::stable_sort(candidates, [&](unsigned a, unsigned b) { return getUrgency(a) < getUrgency(b); });
  SmallVector<unsigned> bucket;
  int64_t bytes = 0;
  for (unsigned index : candidates) {
    int64_t sent = getCollective(index).getBytesSent();
    if (!bucket.empty() && (!canJoin(bucket.front(), index) || bytes + sent > limits.bucketBytes))
      continue;
    bucket.push_back(index);
    bytes += sent;
  }
  for (unsigned index : bucket)
    waitFor(index);
  double &stream = getStream(bucket.front());
  stream = std::max(stream, now);
  for (unsigned index : bucket)
    stream += actions[index].cost;
  for (unsigned index : bucket) {
    states[index].phase = State::Running;
    states[index].finish = stream;
    states[index].bucket = bucket.front();
    leave(index);
  }
  buckets[bucket.front()] = bucket;
  order.push_back({Scheduled::Start, bucket});
  return true;
}

SmallVector<Scheduled> Scheduler::run() {
  while (!ready.empty()) {
    SmallVector<unsigned> allowed = getReady();
    std::optional<unsigned> computing = chooseComputing(allowed);
    if (startCollective(allowed, computing))
      continue;
    // Time passes until something can go on.
    auto start = [&](unsigned index) { return std::max(getStart(index), now); };
    unsigned soonest = *llvm::min_element(allowed, [&](unsigned a, unsigned b) { return start(a) < start(b); });
    if (computing && start(*computing) <= start(soonest))
      run(*computing);
    else
      now = start(soonest);
  }
  // What nobody reads in this block is done at its end.
  for (unsigned index = 0; index < actions.size(); ++index)
    if (states[index].phase == State::Running && states[index].bucket == index)
      order.push_back({Scheduled::Wait, {index}});
  return std::move(order);
}

SmallVector<Scheduled> step::schedule(const ActionGraph &graph, ScheduleLimits limits) { return Scheduler(graph, limits).run(); }

//===- ListSchedulerTest.cpp - Any order computes the same ----------------===//
//
// Random blocks are run in their own order and in the scheduler's, with a hash for what each action computes. A
// collective reads when it starts; what it writes is unknown until somebody waits.
//
//===----------------------------------------------------------------------===//

#include "passes/step/ListScheduler.h"
#include "tests/passes/step/StepBlocks.h"

#include <map>
#include <random>
#include <set>

using namespace mlir;
using namespace primus;
using namespace primus::step;
using namespace primus::testing;

namespace {

constexpr unsigned kBuffers = 6, kHalves = 2;
constexpr int64_t kBucketBytes = 64;

std::string getArguments() {
  std::string arguments;
  for (unsigned i = 0; i < kBuffers; ++i)
    arguments += (i ? ", %b" : "%b") + std::to_string(i) + ": memref<8xf32>";
  return arguments;
}

/// Launches, fills of halves, copies and collectives on buffers drawn at random.
std::string makeActions(std::mt19937 &random, unsigned count) {
  std::string text;
  for (unsigned buffer = 0; buffer < kBuffers; ++buffer)
    for (unsigned half = 0; half < kHalves; ++half)
      text += "%h" + std::to_string(buffer * kHalves + half) + " = step.view %b" + std::to_string(buffer) + " at " +
              std::to_string(16 * half) + " : memref<8xf32> -> memref<4xf32>\n";
  auto whole = [&] { return "%b" + std::to_string(random() % kBuffers); };
  auto half = [&] { return "%h" + std::to_string(random() % (kBuffers * kHalves)); };
  for (unsigned i = 0; i < count; ++i) {
    std::string axes = random() % 2 ? "[\"tp\"]" : "[\"fsdp\"]", a = whole(), b = whole(), part = half();
    switch (random() % 6) {
    case 0:
      text += "step.fill " + part + " : memref<4xf32>\n";
      break;
    case 1:
      text += "step.copy " + part + ", " + half() + " : memref<4xf32>\n";
      break;
    case 2:
      text += "step.collective all_reduce sum over " + axes + " " + a + " to " + a + " : memref<8xf32> to memref<8xf32>\n";
      break;
    case 3:
      // Source and target must be apart.
      if (std::stoul(part.substr(2)) / kHalves == std::stoul(a.substr(2)))
        break;
      text += "step.collective all_gather over [\"fsdp\"] " + part + " to " + a + " dims [0] : memref<4xf32> to memref<8xf32>\n";
      break;
    default:
      text += "step.launch @add(" + a + ", " + b + ") : memref<8xf32>, memref<8xf32>\n";
    }
  }
  return text;
}

/// What an action reads and writes, as numbers of halves of buffers; found anew, without the analysis that is tested.
struct Effect {
  std::vector<unsigned> reads, writes;
};

std::vector<unsigned> getHalves(Value value) {
  unsigned first = 0, count = kHalves;
  if (auto view = value.getDefiningOp<ViewOp>()) {
    first = view.getOffset() / 16;
    count = 1;
    value = view.getSource();
  }
  std::vector<unsigned> halves;
  for (unsigned i = 0; i < count; ++i)
    halves.push_back(cast<BlockArgument>(value).getArgNumber() * kHalves + first + i);
  return halves;
}

Effect getEffect(Operation *op) {
  if (auto fill = dyn_cast<FillOp>(op))
    return {{}, getHalves(fill.getTarget())};
  if (auto copy = dyn_cast<CopyOp>(op))
    return {getHalves(copy.getSource()), getHalves(copy.getTarget())};
  if (auto collective = dyn_cast<CollectiveOp>(op))
    return {getHalves(collective.getSources().front()), getHalves(collective.getTargets().front())};
  return {getHalves(op->getOperand(0)), getHalves(op->getOperand(1))};
}

/// Memory as hashes; reading what is on its way is an error.
class Memory {
public:
  Memory() {
    for (unsigned i = 0; i < kBuffers * kHalves; ++i)
      halves[i] = i + 1;
  }

  /// The hash of what an action writes, by its number and what it reads.
  uint64_t compute(unsigned number, const Effect &effect) {
    uint64_t value = 0x9e3779b97f4a7c15ull * (number + 1);
    for (unsigned half : effect.reads) {
      EXPECT_FALSE(busy.contains(half)) << "reads what is on its way";
      value = (value ^ halves[half]) * 0xff51afd7ed558ccdull;
    }
    return value;
  }
  void start(const Effect &effect) {
    for (unsigned half : effect.writes)
      EXPECT_TRUE(busy.insert(half).second) << "two are on their way to one place";
  }
  void write(const Effect &effect, uint64_t value) {
    for (unsigned half : effect.writes) {
      EXPECT_FALSE(busy.contains(half)) << "writes what is on its way";
      halves[half] = value + half;
    }
  }
  void finish(const Effect &effect, uint64_t value) {
    for (unsigned half : effect.writes)
      busy.erase(half);
    write(effect, value);
  }

  std::map<unsigned, uint64_t> halves;
  std::set<unsigned> busy;
};

void checkSchedule(const ActionGraph &graph, ArrayRef<Scheduled> order) {
  Memory expected, actual;
  for (auto [index, action] : llvm::enumerate(graph.actions)) {
    Effect effect = getEffect(action.op);
    expected.write(effect, expected.compute(index, effect));
  }

  std::set<unsigned> taken;
  std::map<unsigned, std::vector<std::pair<unsigned, uint64_t>>> running;
  auto checkReaders = [&](const Effect &effect) {
    for (const auto &[bucket, members] : running)
      for (auto [member, value] : members)
        for (unsigned half : getEffect(graph.actions[member].op).reads)
          EXPECT_FALSE(llvm::is_contained(effect.writes, half)) << "writes what a collective reads";
  };
  for (const Scheduled &entry : order) {
    ASSERT_FALSE(entry.actions.empty());
    if (entry.kind == Scheduled::Wait) {
      auto started = running.find(entry.actions.front());
      ASSERT_NE(started, running.end()) << "waits for what was not started";
      auto members = std::move(started->second);
      running.erase(started);
      for (auto [member, value] : members)
        actual.finish(getEffect(graph.actions[member].op), value);
      continue;
    }
    int64_t bytes = 0;
    for (unsigned index : entry.actions) {
      ASSERT_TRUE(taken.insert(index).second) << "runs twice";
      const Action &action = graph.actions[index];
      Effect effect = getEffect(action.op);
      EXPECT_EQ(static_cast<bool>(action.collective), entry.kind == Scheduled::Start);
      checkReaders(effect);
      uint64_t value = actual.compute(index, effect);
      if (entry.kind == Scheduled::Run) {
        actual.write(effect, value);
        continue;
      }
      CollectiveOp first = graph.actions[entry.actions.front()].collective, collective = action.collective;
      EXPECT_EQ(first.getKind(), collective.getKind());
      EXPECT_EQ(first.getAxes(), collective.getAxes());
      bytes += collective.getBytesSent();
      EXPECT_TRUE(bytes <= kBucketBytes || entry.actions.size() == 1);
      actual.start(effect);
      running[entry.actions.front()].push_back({index, value});
    }
  }
  EXPECT_TRUE(running.empty()) << "nobody waits";
  EXPECT_EQ(taken.size(), graph.actions.size());
  EXPECT_EQ(actual.halves, expected.halves);
}

TEST(ListScheduler, RandomBlocksComputeTheSame) {
  unsigned overlapped = 0, buckets = 0;
  for (unsigned seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    StepBlock block(getArguments(), makeActions(random, 4 + seed % 40));
    SmallVector<Scheduled> order = schedule(block.getGraph(), {kBucketBytes, /*trail=*/seed % 3});
    checkSchedule(block.getGraph(), order);
    for (size_t i = 0; i + 1 < order.size(); ++i) {
      buckets += order[i].actions.size() > 1;
      overlapped += order[i].kind == Scheduled::Start && order[i + 1].kind != Scheduled::Wait;
    }
    if (HasFailure())
      break;
  }
  // The test has seen what it is about.
  EXPECT_GT(overlapped, 300u);
  EXPECT_GT(buckets, 10u);
}

} // namespace

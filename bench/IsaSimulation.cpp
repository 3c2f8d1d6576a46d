//===- IsaSimulation.cpp - A main loop on a SIMD, issued in order ---------===//

#include "bench/IsaSimulation.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"

#include <deque>
#include <vector>

using namespace primus;
using namespace primus::bench;
using llvm::StringRef;

namespace {

constexpr double slotCycles = 4, ldsLatency = 64, globalLatency = 700;
/// Cycles of accesses that may wait for LDS before a wave stalls.
constexpr double ldsQueue = 256;
/// Iterations until the loop has settled, and those that are measured.
constexpr unsigned settling = 8, measured = 24;

/// One instruction of the loop.
struct Step {
  /// Of each kind a SIMD issues one at a time. What is internal to a wave (waits, barriers, priorities) is not issued.
  enum Kind { Vector, Lds, Global, Scalar, Internal } kind;
  static constexpr unsigned units = Internal;
  /// On its unit; of an internal one until the next instruction.
  double cycles = 0;
  /// On the matrix unit, of matrix instructions and of what cannot run beside them.
  double matrixCycles = 0;
  bool isMatrix = false, isBarrier = false;
  /// Accesses that may be outstanding behind a wait, and the priority that is set; -1: any number, none.
  int lds = -1, global = -1, priority = -1;
  /// First and last register of each vector operand, the result first; accumulators count from 512.
  llvm::SmallVector<std::pair<unsigned, unsigned>, 4> registers = {};
};

struct Wave {
  /// Before which it issues nothing.
  double time = 0;
  size_t next = 0;
  unsigned iterations = 0;
  int priority = 0;
  bool atBarrier = false;
  std::deque<double> lds, global;
  /// When registers that matrix instructions write can be read.
  llvm::DenseMap<unsigned, double> ready;
};

class Simulation {
public:
  explicit Simulation(const LoopBounds &bounds);
  double run();

private:
  const Step &getStep(const Wave &wave) const { return steps[wave.next]; }
  bool canIssue(const Wave &wave, Step::Kind kind) const;
  void issue(Wave &wave);
  static double getWaitEnd(const std::deque<double> &queue, int outstanding);
  static void retire(std::deque<double> &queue, double now);
  void release();

  std::vector<Step> steps;
  /// The oldest first.
  std::vector<Wave> waves;
  /// Waves of a workgroup on a SIMD.
  unsigned group;
  double now = 0, matrix = 0, vector = 0, lds = 0, global = 0, matrixBusy = 0;
};

} // namespace

static llvm::SmallVector<std::pair<unsigned, unsigned>, 4> readRegisters(StringRef operands) {
  llvm::SmallVector<std::pair<unsigned, unsigned>, 4> registers;
  llvm::SmallVector<StringRef> parts;
  operands.split(parts, ',');
  for (StringRef part : parts) {
    part = part.trim();
    unsigned base = part.starts_with("a") ? 512 : 0, first, last;
    if (!part.consume_front("a") && !part.consume_front("v"))
      continue;
    bool isRange = part.consume_front("[");
    if (part.consumeInteger(10, first))
      continue;
    last = first;
    if (isRange && part.consume_front(":"))
      part.consumeInteger(10, last);
    registers.push_back({base + first, base + last});
  }
  return registers;
}

/// Packed arithmetic on f32 does not run beside a matrix instruction.
static bool isPackedFloat(StringRef name) { return name.starts_with("v_pk_") && name.contains("_f32"); }

static Step readStep(StringRef text, double transcendentalCycles) {
  StringRef name = text.take_while([](char c) { return c != ' ' && c != '\t'; }), operands = text.drop_front(name.size());
  LoopBounds cost = getInstructionCost(text, transcendentalCycles);
  if (name == "s_waitcnt") {
    Step step{Step::Internal, slotCycles};
    auto read = [&](StringRef counter, int &count) {
      size_t at = operands.find(counter);
      if (at != StringRef::npos)
        operands.substr(at + counter.size()).consumeInteger(10, count);
    };
    read("vmcnt(", step.global);
    read("lgkmcnt(", step.lds);
    return step;
  }
  int number = 0;
  operands.trim().getAsInteger(0, number);
  if (name == "s_nop")
    return {Step::Internal, slotCycles * (number + 1)};
  if (name == "s_setprio") {
    Step step{Step::Internal, slotCycles};
    step.priority = number;
    return step;
  }
  if (name == "s_barrier") {
    Step step{Step::Internal, slotCycles};
    step.isBarrier = true;
    return step;
  }
  Step step{Step::Scalar, slotCycles};
  if (cost.cycles[LoopBounds::Global] != 0) {
    step = {Step::Global, cost.cycles[LoopBounds::Global]};
  } else if (cost.cycles[LoopBounds::Lds] != 0) {
    step = {Step::Lds, cost.cycles[LoopBounds::Lds]};
  } else if (cost.cycles[LoopBounds::Vector] != 0) {
    step = {Step::Vector, cost.cycles[LoopBounds::Vector]};
    step.isMatrix = cost.cycles[LoopBounds::Matrix] != 0;
    step.matrixCycles = isPackedFloat(name) ? slotCycles : cost.cycles[LoopBounds::Matrix];
    step.registers = readRegisters(operands);
  }
  return step;
}

Simulation::Simulation(const LoopBounds &bounds) : waves(bounds.occupancy), group(bounds.groupWaves) {
  for (StringRef text : bounds.loop)
    steps.push_back(readStep(text, bounds.transcendentalCycles));
  // Waves do not start at once.
  for (auto [number, wave] : llvm::enumerate(waves))
    wave.time = 64.0 * number;
}

double Simulation::getWaitEnd(const std::deque<double> &queue, int outstanding) {
  size_t rest = outstanding < 0 ? queue.size() : outstanding;
  return queue.size() > rest ? queue[queue.size() - rest - 1] : 0;
}

void Simulation::retire(std::deque<double> &queue, double now) {
  while (!queue.empty() && queue.front() <= now)
    queue.pop_front();
}

bool Simulation::canIssue(const Wave &wave, Step::Kind kind) const {
  const Step &step = getStep(wave);
  if (step.kind != kind || wave.atBarrier || wave.time > now)
    return false;
  switch (kind) {
  case Step::Vector:
    if ((!step.isMatrix && vector > now) || (step.matrixCycles != 0 && matrix > now))
      return false;
    for (auto [first, last] : step.registers)
      for (unsigned number = first; number <= last; ++number)
        if (auto ready = wave.ready.find(number); ready != wave.ready.end() && ready->second > now)
          return false;
    return true;
  case Step::Lds:
    return lds <= now + ldsQueue;
  case Step::Internal:
    return std::max(getWaitEnd(wave.lds, step.lds), getWaitEnd(wave.global, step.global)) <= now;
  default:
    return true;
  }
}

void Simulation::issue(Wave &wave) {
  const Step &step = getStep(wave);
  wave.time = now + slotCycles;
  switch (step.kind) {
  case Step::Vector:
    if (!step.isMatrix)
      vector = now + step.cycles;
    if (step.matrixCycles != 0)
      matrix = now + step.matrixCycles;
    if (!step.isMatrix)
      break;
    matrixBusy += step.matrixCycles;
    for (unsigned number = step.registers[0].first; number <= step.registers[0].second; ++number)
      wave.ready[number] = matrix;
    break;
  case Step::Lds:
    lds = std::max(lds, now) + step.cycles;
    wave.lds.push_back(lds + ldsLatency);
    break;
  case Step::Global:
    global = std::max(global, now) + step.cycles;
    wave.global.push_back(global + globalLatency);
    break;
  case Step::Scalar:
    break;
  case Step::Internal:
    wave.time = now + step.cycles;
    if (step.priority >= 0)
      wave.priority = step.priority;
    wave.atBarrier = step.isBarrier;
    break;
  }
  retire(wave.lds, now);
  retire(wave.global, now);
  if (++wave.next == steps.size()) {
    wave.next = 0;
    ++wave.iterations;
  }
  if (step.isBarrier)
    release();
}

void Simulation::release() {
  for (size_t first = 0; first < waves.size(); first += group) {
    auto members = llvm::make_range(waves.begin() + first, waves.begin() + std::min(first + group, waves.size()));
    if (llvm::all_of(members, [](const Wave &wave) { return wave.atBarrier; }))
      for (Wave &wave : members) {
        wave.time = now + slotCycles;
        wave.atBarrier = false;
      }
  }
}

double Simulation::run() {
  auto countIterations = [&] {
    unsigned sum = 0;
    for (const Wave &wave : waves)
      sum += wave.iterations;
    return sum;
  };
  // An old wave may keep a young one waiting: all count.
  double startTime = 0, startBusy = 0;
  bool hasSettled = false;
  for (unsigned end = (settling + measured) * waves.size(); countIterations() < end; now += slotCycles) {
    if (!hasSettled && countIterations() >= settling * waves.size()) {
      hasSettled = true;
      startTime = now;
      startBusy = matrixBusy;
    }
    llvm::SmallVector<Wave *> chosen;
    for (unsigned kind = 0; kind < Step::units; ++kind) {
      Wave *first = nullptr;
      for (Wave &wave : waves)
        if (canIssue(wave, static_cast<Step::Kind>(kind)) && (!first || wave.priority > first->priority))
          first = &wave;
      if (first)
        chosen.push_back(first);
    }
    for (Wave &wave : waves)
      if (canIssue(wave, Step::Internal))
        chosen.push_back(&wave);
    for (Wave *wave : chosen)
      issue(*wave);
  }
  return (matrixBusy - startBusy) / (now - startTime);
}

double bench::simulateLoop(const LoopBounds &bounds) {
  return bounds.matrixInstructions == 0 ? 0 : Simulation(bounds).run();
}

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

constexpr double issueCycles = 4, ldsLatency = 64, globalLatency = 700;
/// Cycles of accesses that may wait for LDS before a wave stalls.
constexpr double ldsQueue = 256;
/// Iterations until the loop has settled, and those that are measured.
constexpr unsigned settling = 8, measured = 24;

/// One instruction of the loop.
struct Step {
  enum Kind { Matrix, Vector, Lds, Global, Wait, Barrier, Other } kind;
  /// On its unit; of `Other` until the next instruction.
  double cycles = 0;
  /// Accesses that may be outstanding behind a wait; -1: any number.
  int lds = -1, global = -1;
  /// First and last register of each vector operand, the result first; accumulators count from 512.
  llvm::SmallVector<std::pair<unsigned, unsigned>, 4> registers = {};
};

struct Wave {
  double time = 0;
  size_t next = 0;
  unsigned iterations = 0;
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
  void issue(Wave &wave);
  void issueOn(Wave &wave, double &unit, const Step &step);
  static void wait(Wave &wave, std::deque<double> &queue, int outstanding);
  void release();

  std::vector<Step> steps;
  std::vector<Wave> waves;
  /// Waves of a workgroup on a SIMD.
  unsigned group;
  double matrix = 0, vector = 0, lds = 0, global = 0, matrixBusy = 0;
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

static Step readStep(StringRef text) {
  StringRef name = text.take_while([](char c) { return c != ' ' && c != '\t'; }), operands = text.drop_front(name.size());
  LoopBounds cost = getInstructionCost(name);
  if (name == "s_waitcnt") {
    Step step{Step::Wait, 0};
    auto read = [&](StringRef counter, int &count) {
      size_t at = operands.find(counter);
      if (at != StringRef::npos)
        operands.substr(at + counter.size()).consumeInteger(10, count);
    };
    read("vmcnt(", step.global);
    read("lgkmcnt(", step.lds);
    return step;
  }
  if (name == "s_barrier")
    return {Step::Barrier, 0};
  if (name == "s_nop") {
    int count = 0;
    operands.trim().getAsInteger(0, count);
    return {Step::Other, issueCycles * (count + 1)};
  }
  static constexpr std::pair<LoopBounds::Unit, Step::Kind> kinds[] = {{LoopBounds::Matrix, Step::Matrix},
                                                                      {LoopBounds::Vector, Step::Vector},
                                                                      {LoopBounds::Lds, Step::Lds},
                                                                      {LoopBounds::Global, Step::Global}};
  for (auto [unit, kind] : kinds)
    if (cost.cycles[unit] != 0)
      return {kind, cost.cycles[unit], -1, -1, readRegisters(operands)};
  return {Step::Other, issueCycles};
}

Simulation::Simulation(const LoopBounds &bounds) : waves(bounds.occupancy), group(bounds.groupWaves) {
  for (StringRef text : bounds.loop)
    steps.push_back(readStep(text));
  // Waves do not start at once.
  for (auto [number, wave] : llvm::enumerate(waves))
    wave.time = 64.0 * number;
}

void Simulation::wait(Wave &wave, std::deque<double> &queue, int outstanding) {
  if (outstanding < 0)
    return;
  for (; static_cast<int>(queue.size()) > outstanding; queue.pop_front())
    wave.time = std::max(wave.time, queue.front());
}

void Simulation::issueOn(Wave &wave, double &unit, const Step &step) {
  double start = std::max(wave.time, unit);
  for (auto [first, last] : step.registers)
    for (unsigned number = first; number <= last; ++number)
      if (auto ready = wave.ready.find(number); ready != wave.ready.end())
        start = std::max(start, ready->second);
  unit = start + step.cycles;
  wave.time = start + issueCycles;
}

void Simulation::issue(Wave &wave) {
  const Step &step = steps[wave.next];
  switch (step.kind) {
  case Step::Matrix:
    issueOn(wave, matrix, step);
    matrixBusy += step.cycles;
    for (unsigned number = step.registers[0].first; number <= step.registers[0].second; ++number)
      wave.ready[number] = matrix;
    break;
  case Step::Vector:
    issueOn(wave, vector, step);
    break;
  case Step::Lds:
    lds = std::max(lds, wave.time) + step.cycles;
    wave.lds.push_back(lds + ldsLatency);
    wave.time = std::max(wave.time + issueCycles, lds - ldsQueue);
    break;
  case Step::Global:
    global = std::max(global, wave.time) + step.cycles;
    wave.global.push_back(global + globalLatency);
    wave.time += issueCycles;
    break;
  case Step::Wait:
    wait(wave, wave.lds, step.lds);
    wait(wave, wave.global, step.global);
    wave.time += issueCycles;
    break;
  case Step::Barrier:
    wave.atBarrier = true;
    release();
    break;
  case Step::Other:
    wave.time += step.cycles;
    break;
  }
  if (++wave.next == steps.size()) {
    wave.next = 0;
    ++wave.iterations;
  }
}

void Simulation::release() {
  for (size_t first = 0; first < waves.size(); first += group) {
    auto members = llvm::make_range(waves.begin() + first, waves.begin() + std::min(first + group, waves.size()));
    if (!llvm::all_of(members, [](const Wave &wave) { return wave.atBarrier; }))
      continue;
    double last = 0;
    for (const Wave &wave : members)
      last = std::max(last, wave.time);
    for (Wave &wave : members) {
      wave.time = last + issueCycles;
      wave.atBarrier = false;
    }
  }
}

double Simulation::run() {
  double startTime = 0, startBusy = 0;
  bool settled = false;
  while (waves.front().iterations < settling + measured) {
    Wave *first = nullptr;
    for (Wave &wave : waves)
      if (!wave.atBarrier && (!first || wave.time < first->time))
        first = &wave;
    issue(*first);
    if (!settled && waves.front().iterations == settling) {
      settled = true;
      startTime = waves.front().time;
      startBusy = matrixBusy;
    }
  }
  return (matrixBusy - startBusy) / (waves.front().time - startTime);
}

double bench::simulateLoop(const LoopBounds &bounds) {
  return bounds.matrixInstructions == 0 ? 0 : Simulation(bounds).run();
}

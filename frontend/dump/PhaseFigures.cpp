//===- PhaseFigures.cpp - How large a phase's module is --------------------===//

#include "frontend/dump/PhaseFigures.h"

#include "ir/graph/GraphDialect.h"
#include "ir/kernel/KernelDialect.h"
#include "ir/step/StepDialect.h"
#include "passes/Pipeline.h"
#include "passes/Program.h"
#include "passes/step/KernelFigures.h"

#include "llvm/ADT/DenseMap.h"

#include <fmt/format.h>

using namespace mlir;
using namespace primus;
using namespace primus::cli;

/// Bytes of a tensor or buffer; zero for other types. An i1 takes a byte.
static int64_t getBytes(Type type) {
  auto shaped = dyn_cast<ShapedType>(type);
  return shaped ? shaped.getNumElements() * std::max<int64_t>(shaped.getElementTypeBitWidth() / 8, 1) : 0;
}

static int64_t sumBytes(TypeRange types) {
  int64_t bytes = 0;
  for (Type type : types)
    bytes += getBytes(type);
  return bytes;
}

namespace {

/// Costs of running functions, each function counted once and then remembered.
class CostCounter {
public:
  explicit CostCounter(ModuleOp module) : symbols(module) {}
  graph::Cost count(Block &block);

private:
  graph::Cost count(Operation &op);
  graph::Cost countCall(StringRef callee);

  SymbolTable symbols;
  DenseMap<Operation *, graph::Cost> known;
};

/// Estimates memory before it is planned. Values live from their op to their last reader; views and what fusions compute inline take none.
class PeakEstimate {
public:
  explicit PeakEstimate(ModuleOp module) : symbols(module) {}
  /// Most bytes alive in a block at a time, without its arguments and without what its terminator returns.
  int64_t measure(Block &block);

private:
  int64_t measureInside(Operation &op);

  SymbolTable symbols;
  DenseMap<Operation *, int64_t> known;
};

} // namespace

//===----------------------------------------------------------------------===//
// Costs
//===----------------------------------------------------------------------===//

graph::Cost CostCounter::countCall(StringRef callee) {
  Operation *function = symbols.lookup(callee);
  if (!function || function->getNumRegions() == 0 || function->getRegion(0).empty())
    return {};
  if (auto found = known.find(function); found != known.end())
    return found->second;
  graph::Cost cost = count(function->getRegion(0).front());
  known[function] = cost;
  return cost;
}

graph::Cost CostCounter::count(Operation &op) {
  auto repeat = [&](Region &body, int64_t times) {
    graph::Cost cost = count(body.front());
    return graph::Cost{cost.flops * times, cost.bytes * times};
  };
  if (auto call = dyn_cast<graph::CallOp>(op))
    return countCall(call.getCallee());
  if (auto call = dyn_cast<step::CallOp>(op))
    return countCall(call.getCallee());
  if (auto schedule = dyn_cast<graph::ScheduleOp>(op))
    return repeat(schedule.getBody(), schedule.getMicrobatches());
  if (auto loop = dyn_cast<step::LoopOp>(op))
    return repeat(loop.getBody(), loop.getCount());
  if (auto fusion = dyn_cast<graph::FusionOp>(op))
    return {count(fusion.getBody().front()).flops, sumBytes(op.getOperandTypes()) + sumBytes(op.getResultTypes())};
  if (auto launch = dyn_cast<step::LaunchOp>(op)) {
    auto kernel = symbols.lookup<kernel::FuncOp>(launch.getKernel());
    auto figure = [&](StringRef name, int64_t otherwise) {
      auto attribute = kernel ? kernel->getAttrOfType<IntegerAttr>(name) : IntegerAttr();
      return attribute ? attribute.getInt() : otherwise;
    };
    return {figure(step::kFlopsAttr, 0), figure(step::kBytesAttr, sumBytes(op.getOperandTypes()))};
  }
  if (isa<step::CopyOp, step::FillOp>(op))
    return {0, sumBytes(op.getOperandTypes())};
  if (auto costed = dyn_cast<graph::Costed>(op))
    return costed.getCost();
  return {};
}

graph::Cost CostCounter::count(Block &block) {
  graph::Cost sum;
  for (Operation &op : block) {
    graph::Cost cost = count(op);
    sum.flops += cost.flops;
    sum.bytes += cost.bytes;
  }
  return sum;
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

/// The value whose memory a value is: reshapes are views, loads and stores are variables.
static Value getStorage(Value value) {
  while (auto reshape = value.getDefiningOp<graph::ReshapeOp>())
    value = reshape.getOperand();
  return value;
}

/// What becomes part of its readers, or is a variable's memory.
static bool takesNoMemory(Operation *op) {
  return isa<graph::ReshapeOp, graph::LoadOp, graph::ConstantOp, graph::IotaOp, graph::BroadcastOp>(op);
}

int64_t PeakEstimate::measureInside(Operation &op) {
  if (auto call = dyn_cast<graph::CallOp>(op)) {
    auto callee = symbols.lookup<func::FuncOp>(call.getCallee());
    if (!callee || callee.empty())
      return 0;
    if (auto found = known.find(callee); found != known.end())
      return found->second;
    int64_t peak = measure(callee.front());
    known[callee] = peak;
    return peak;
  }
  if (auto schedule = dyn_cast<graph::ScheduleOp>(op))
    return measure(schedule.getBody().front());
  return 0;
}

int64_t PeakEstimate::measure(Block &block) {
  // Where each value of the block is read for the last time.
  DenseMap<Value, Operation *> lastReader;
  for (Operation &op : block)
    op.walk([&](Operation *inner) {
      for (Value operand : inner->getOperands()) {
        Value storage = getStorage(operand);
        if (storage.getParentBlock() == &block)
          lastReader[storage] = &op;
      }
    });

  int64_t alive = 0, peak = 0;
  DenseMap<Operation *, int64_t> freed;
  for (Operation &op : block) {
    if (!takesNoMemory(&op))
      for (Value result : op.getResults()) {
        Operation *last = lastReader.lookup(result);
        // The caller counts what is returned.
        if (last && last->hasTrait<OpTrait::IsTerminator>())
          continue;
        alive += getBytes(result.getType());
        freed[last ? last : &op] += getBytes(result.getType());
      }
    peak = std::max(peak, alive + measureInside(op));
    alive -= freed.lookup(&op);
  }
  return peak;
}

static int64_t estimatePeak(ModuleOp module, func::FuncOp program) {
  int64_t bytes = 0;
  for (auto variable : module.getOps<graph::VariableOp>())
    bytes += getBytes(variable.getTensorType());
  if (!program)
    return bytes;
  return bytes + sumBytes(program.getArgumentTypes()) + sumBytes(program.getResultTypes()) +
         PeakEstimate(module).measure(program.front());
}

//===----------------------------------------------------------------------===//
// Figures
//===----------------------------------------------------------------------===//

PhaseFigures PhaseFigures::of(ModuleOp module, StringRef phase) {
  PhaseFigures figures;
  figures.name = phase.str();
  module.walk([&](Operation *op) {
    ++figures.ops;
    ++figures.kinds[op->getName().getStringRef().str()];
    figures.functions += isa<func::FuncOp, step::FunctionOp, step::ProgramOp>(op);
    figures.kernels += isa<kernel::FuncOp>(op);
    if (auto program = dyn_cast<step::ProgramOp>(op)) {
      figures.peakBytes = std::max<int64_t>(figures.peakBytes, program.getArena());
      figures.peakIsPlanned = true;
    }
  });

  Operation *program = module.lookupSymbol(kTrainStepProgram);
  if (!program)
    program = module.lookupSymbol(kForwardProgram);
  if (program && program->getNumRegions() == 1 && !program->getRegion(0).empty()) {
    graph::Cost cost = CostCounter(module).count(program->getRegion(0).front());
    figures.flops = cost.flops;
    figures.bytes = cost.bytes;
  }
  if (!figures.peakIsPlanned)
    figures.peakBytes = estimatePeak(module, dyn_cast_or_null<func::FuncOp>(program));
  return figures;
}

nlohmann::ordered_json PhaseFigures::toJson() const {
  return {{"name", name},   {"ops", ops},     {"kinds", kinds},          {"functions", functions},        {"kernels", kernels},
          {"flops", flops}, {"bytes", bytes}, {"peak_bytes", peakBytes}, {"peak_planned", peakIsPlanned}, {"seconds", seconds}};
}

/// "1.23 G", with a unit behind it.
static std::string scale(double value, const char *unit, double base) {
  static constexpr const char *decimal[] = {"", "k", "M", "G", "T", "P", "E"};
  static constexpr const char *binary[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
  unsigned power = 0;
  while (std::abs(value) >= base && power + 1 < std::size(decimal)) {
    value /= base;
    ++power;
  }
  return fmt::format("{:.{}f} {}{}", value, power ? 2 : 0, (base == 1000 ? decimal : binary)[power], unit);
}

static std::string scaleFlops(int64_t value) { return scale(static_cast<double>(value), "FLOP", 1000); }
std::string cli::formatBytes(int64_t value) { return scale(static_cast<double>(value), "B", 1024); }
static std::string scaleCount(int64_t value) { return std::to_string(value); }

/// "5 (+2)".
static std::string withChange(std::string (*print)(int64_t), int64_t value, std::optional<int64_t> before) {
  std::string text = print(value);
  if (!before)
    return text;
  int64_t change = value - *before;
  return fmt::format("{} ({})", text, change ? fmt::format("{}{}", change > 0 ? "+" : "-", print(std::abs(change))) : "unchanged");
}

/// A list as comment lines.
static std::string wrap(const std::string &title, ArrayRef<std::string> entries) {
  std::string text = "// " + title + ":\n", line = "//  ";
  constexpr size_t width = 120;
  for (auto [index, entry] : llvm::enumerate(entries)) {
    if (line.size() + entry.size() + 2 > width) {
      text += line + "\n";
      line = "//  ";
    }
    line += " " + entry + (index + 1 < entries.size() ? "," : "");
  }
  return text + line + "\n";
}

std::string PhaseFigures::describe(const PhaseFigures *before) const {
  const Phase &phase = getPhases()[*findPhase(name)];
  auto line = [&](const char *title, std::string (*print)(int64_t), int64_t PhaseFigures::*member, const char *note) {
    std::optional<int64_t> previous = before ? std::optional(before->*member) : std::nullopt;
    return fmt::format("//   {:<12} {}{}\n", title, withChange(print, this->*member, previous), note);
  };
  std::string text = fmt::format("// Phase {}, {}: {}.\n", *findPhase(name), name, phase.summary.str());
  if (before)
    text += fmt::format("// In parentheses: the change against phase {}.\n", before->name);
  text += line("ops", scaleCount, &PhaseFigures::ops, "");
  text += line("functions", scaleCount, &PhaseFigures::functions, "");
  if (kernels)
    text += line("kernels", scaleCount, &PhaseFigures::kernels, "");
  const char *scope = name == "model" ? " by one forward pass" : " by one step";
  text += line("FLOPs", scaleFlops, &PhaseFigures::flops, scope);
  text += line("bytes moved", formatBytes, &PhaseFigures::bytes, scope);
  text += line("peak memory", formatBytes, &PhaseFigures::peakBytes, peakIsPlanned ? " planned" : " estimated from liveness");

  std::vector<std::string> present, gone;
  for (const auto &[kind, number] : kinds) {
    auto entry = before ? before->kinds.find(kind) : kinds.end();
    int64_t previous = before ? (entry == before->kinds.end() ? 0 : entry->second) : number;
    present.push_back(kind + " " + (previous == number ? std::to_string(number) : withChange(scaleCount, number, previous)));
  }
  text += wrap("Ops by kind", present);
  if (before)
    for (const auto &[kind, number] : before->kinds)
      if (!kinds.contains(kind))
        gone.push_back(fmt::format("{} {}", kind, number));
  return text + (gone.empty() ? "" : wrap("Gone since phase " + before->name, gone));
}

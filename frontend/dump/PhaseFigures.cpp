//===- PhaseFigures.cpp - How large a phase's module is --------------------===//

#include "frontend/dump/PhaseFigures.h"

#include "frontend/dump/Costs.h"
#include "ir/graph/GraphDialect.h"
#include "ir/kernel/KernelDialect.h"
#include "ir/step/StepDialect.h"
#include "passes/Pipeline.h"
#include "passes/Program.h"

#include "llvm/ADT/DenseMap.h"

#include <fmt/format.h>

using namespace mlir;
using namespace primus;
using namespace primus::cli;

namespace {

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

/// Which variables a program of several reads or writes; the only one has them all.
static bool hasVariable(func::FuncOp program, const llvm::StringSet<> &used, graph::VariableOp variable) {
  return !program || !program->hasAttr(graph::kStageAttr) || used.contains(variable.getSymName());
}

llvm::StringSet<> cli::getVariables(func::FuncOp program) {
  llvm::StringSet<> used;
  program.walk([&](Operation *op) {
    if (auto load = dyn_cast<graph::LoadOp>(op))
      used.insert(load.getVariable());
    else if (auto store = dyn_cast<graph::StoreOp>(op))
      used.insert(store.getVariable());
  });
  return used;
}

int64_t cli::estimatePeak(ModuleOp module, func::FuncOp program) {
  int64_t bytes = 0;
  llvm::StringSet<> used = program ? getVariables(program) : llvm::StringSet<>();
  for (auto variable : module.getOps<graph::VariableOp>())
    if (hasVariable(program, used, variable))
      bytes += getBytes(variable.getTensorType());
  if (!program)
    return bytes;
  return bytes + sumBytes(program.getArgumentTypes()) + sumBytes(program.getResultTypes()) +
         PeakEstimate(module).measure(program.front());
}

//===----------------------------------------------------------------------===//
// Figures
//===----------------------------------------------------------------------===//

SmallVector<Operation *> cli::getStepPrograms(ModuleOp module) {
  SmallVector<Operation *> programs;
  for (Operation &op : *module.getBody()) {
    auto name = op.getAttrOfType<StringAttr>(SymbolTable::getSymbolAttrName());
    if (!name || !isa<func::FuncOp, step::ProgramOp>(op))
      continue;
    StringRef rest = name.getValue();
    if (rest.consume_front(kTrainStepProgram) && (rest.empty() || op.hasAttr(graph::kStageAttr)))
      programs.push_back(&op);
  }
  return programs;
}

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

  // The step, or the forward pass where there is none yet; of a pipeline, the figures of the rank with most of each.
  SmallVector<Operation *> programs = getStepPrograms(module);
  if (Operation *forward = module.lookupSymbol(kForwardProgram); forward && programs.empty())
    programs.push_back(forward);
  CostCounter counter(module);
  for (Operation *program : programs) {
    if (program->getNumRegions() != 1 || program->getRegion(0).empty())
      continue;
    RunCost cost = counter.count(program->getRegion(0).front());
    figures.flops = std::max(figures.flops, cost.flops);
    figures.bytes = std::max(figures.bytes, cost.bytes);
    if (auto function = dyn_cast<func::FuncOp>(program); function && !figures.peakIsPlanned)
      figures.peakBytes = std::max(figures.peakBytes, estimatePeak(module, function));
  }
  if (programs.empty() && !figures.peakIsPlanned)
    figures.peakBytes = estimatePeak(module, {});
  return figures;
}

nlohmann::ordered_json cli::describeCount(double value) {
  return value < 0x1p63 ? nlohmann::ordered_json(static_cast<int64_t>(value)) : nlohmann::ordered_json(value);
}

nlohmann::ordered_json PhaseFigures::toJson() const {
  return {{"name", name},   {"ops", ops},     {"kinds", kinds},          {"functions", functions},        {"kernels", kernels},
          {"flops", describeCount(flops)}, {"bytes", describeCount(bytes)}, {"peak_bytes", peakBytes}, {"peak_planned", peakIsPlanned}, {"seconds", seconds}};
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

static std::string scaleFlops(double value) { return scale(value, "FLOP", 1000); }
std::string cli::formatBytes(double value) { return scale(value, "B", 1024); }
static std::string printCount(double value) { return fmt::format("{:.0f}", value); }

/// "5 (+2)".
static std::string withChange(std::string (*print)(double), double value, std::optional<double> before) {
  std::string text = print(value);
  if (!before)
    return text;
  double change = value - *before;
  return fmt::format("{} ({})", text, change != 0 ? fmt::format("{}{}", change > 0 ? "+" : "-", print(std::abs(change))) : "unchanged");
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
  auto line = [&](const char *title, std::string (*print)(double), auto member, const char *note) {
    std::optional<double> previous = before ? std::optional<double>(before->*member) : std::nullopt;
    return fmt::format("//   {:<12} {}{}\n", title, withChange(print, static_cast<double>(this->*member), previous), note);
  };
  std::string text = fmt::format("// Phase {}, {}: {}.\n", *findPhase(name), name, phase.summary.str());
  if (before)
    text += fmt::format("// In parentheses: the change against phase {}.\n", before->name);
  text += line("ops", printCount, &PhaseFigures::ops, "");
  text += line("functions", printCount, &PhaseFigures::functions, "");
  if (kernels)
    text += line("kernels", printCount, &PhaseFigures::kernels, "");
  const char *scope = name == "model" ? " by one forward pass" : " by one step";
  text += line("FLOPs", scaleFlops, &PhaseFigures::flops, scope);
  text += line("bytes moved", formatBytes, &PhaseFigures::bytes, scope);
  text += line("peak memory", formatBytes, &PhaseFigures::peakBytes, peakIsPlanned ? " planned" : " estimated from liveness");

  std::vector<std::string> present, gone;
  for (const auto &[kind, number] : kinds) {
    auto entry = before ? before->kinds.find(kind) : kinds.end();
    int64_t previous = before ? (entry == before->kinds.end() ? 0 : entry->second) : number;
    present.push_back(kind + " " + (previous == number ? std::to_string(number) : withChange(printCount, static_cast<double>(number), static_cast<double>(previous))));
  }
  text += wrap("Ops by kind", present);
  if (before)
    for (const auto &[kind, number] : before->kinds)
      if (!kinds.contains(kind))
        gone.push_back(fmt::format("{} {}", kind, number));
  return text + (gone.empty() ? "" : wrap("Gone since phase " + before->name, gone));
}

//===- PageSections.cpp - A module, cut for the page ----------------------===//

#include "frontend/dump/PageSections.h"

#include "ir/graph/GraphDialect.h"
#include "ir/kernel/KernelDialect.h"
#include "ir/step/StepDialect.h"
#include "passes/step/KernelFigures.h"
#include "passes/step/Lowering.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <set>

using namespace mlir;
using namespace primus;
using namespace primus::cli;

static constexpr StringLiteral kSpecAttr = "primus.spec";

namespace {

/// How often functions are called in a step, and for which instances.
struct Calls {
  struct Uses {
    int64_t count = 0;
    std::string first, last;
  };
  explicit Calls(ModuleOp module);

  llvm::StringMap<Uses> functions;
  /// Launches outside of functions, by kernel.
  llvm::StringMap<int64_t> launches;
  /// Names of instances without the number that ends them, of all programs.
  std::set<std::string> stems;

private:
  void walk(Block &block, int64_t times);
};

} // namespace

static bool isProgram(Operation &op) {
  return isa<step::ProgramOp>(op) || (isa<func::FuncOp>(op) && !op.hasAttr(graph::kLayerAttr) && cast<func::FuncOp>(op).isPublic());
}

Calls::Calls(ModuleOp module) {
  Operation *program = nullptr;
  for (Operation &op : *module.getBody())
    if (isProgram(op) && (!program || SymbolTable::getSymbolName(&op) == "train_step"))
      program = &op;
  if (program)
    walk(program->getRegion(0).front(), 1);
  auto addStem = [&](StringRef instance) {
    StringRef stem = instance.rtrim("0123456789");
    if (stem.size() < instance.size() && !stem.empty())
      stems.insert(stem.str());
  };
  module.walk([&](graph::CallOp call) { addStem(call.getInstance()); });
  module.walk([&](step::CallOp call) { addStem(call.getInstance()); });
}

void Calls::walk(Block &block, int64_t times) {
  auto use = [&](StringRef callee, StringRef instance) {
    Uses &uses = functions[callee];
    if (uses.count == 0)
      uses.first = instance.str();
    uses.last = instance.str();
    uses.count += times;
  };
  for (Operation &op : block) {
    int64_t rounds = times;
    if (auto call = dyn_cast<graph::CallOp>(op))
      use(call.getCallee(), call.getInstance());
    else if (auto call = dyn_cast<step::CallOp>(op))
      use(call.getCallee(), call.getInstance());
    else if (auto launch = dyn_cast<step::LaunchOp>(op))
      launches[launch.getKernel()] += times;
    else if (auto schedule = dyn_cast<graph::ScheduleOp>(op))
      rounds *= schedule.getMicrobatches();
    else if (auto loop = dyn_cast<step::LoopOp>(op))
      rounds *= loop.getCount();
    for (Region &region : op.getRegions())
      for (Block &inner : region)
        walk(inner, rounds);
  }
}

static int64_t getFigure(Operation *op, StringRef name) {
  auto figure = op->getAttrOfType<IntegerAttr>(name);
  return figure ? figure.getInt() : 0;
}

/// FLOPs of the ops below `op`; those of a launch are its kernel's.
static int64_t countFlops(Operation *op, const llvm::StringMap<int64_t> &kernels) {
  int64_t flops = 0;
  op->walk([&](Operation *inner) {
    if (auto costed = dyn_cast<graph::Costed>(inner); costed && !isa<graph::FusionOp>(inner))
      flops += costed.getCost().flops;
    else if (auto launch = dyn_cast<step::LaunchOp>(inner))
      flops += kernels.lookup(launch.getKernel());
  });
  return flops;
}

/// The texts of the module's head and of its top-level ops.
static std::pair<std::string, std::vector<std::string>> printOps(ModuleOp module) {
  Attribute spec = module->removeAttr(kSpecAttr);
  std::string text, head;
  llvm::raw_string_ostream stream(text);
  module->print(stream, OpPrintingFlags().printNameLocAsPrefix().elideLargeElementsAttrs());
  if (spec)
    module->setAttr(kSpecAttr, spec);

  std::vector<std::string> ops;
  bool inside = false;
  for (StringRef rest = text; !rest.empty();) {
    auto [line, tail] = rest.split('\n');
    rest = tail;
    if (!inside) {
      head += line.str() + "\n";
      inside = line.starts_with("module");
      continue;
    }
    // The module's end.
    if (line.starts_with("}"))
      break;
    line.consume_front("  ");
    if (!line.starts_with(" ") && !line.starts_with("}"))
      ops.emplace_back();
    if (!ops.empty())
      ops.back() += line.str() + "\n";
  }
  return {head, ops};
}

std::vector<PageSection> cli::getSections(ModuleOp module) {
  Calls calls(module);
  std::vector<std::string> stems(calls.stems.begin(), calls.stems.end());
  llvm::StringMap<int64_t> kernelFlops;
  for (auto kernel : module.getOps<kernel::FuncOp>())
    kernelFlops[kernel.getSymName()] = getFigure(kernel, step::kFlopsAttr);

  auto [head, texts] = printOps(module);
  std::vector<PageSection> sections;
  sections.push_back({"module", module.getName().value_or("module").str(), foldLines(head, {})});
  std::string state;
  int64_t stateOps = 0, runs = 0;
  auto finishState = [&] {
    if (!state.empty())
      sections.push_back({"state", ++runs == 1 ? "variables" : "variables " + std::to_string(runs), foldLines(state, stems), stateOps});
    state.clear();
    stateOps = 0;
  };
  for (auto [op, text] : llvm::zip(*module.getBody(), texts)) {
    if (!isa<FunctionOpInterface>(op)) {
      state += text;
      ++stateOps;
      continue;
    }
    finishState();
    PageSection section{isa<kernel::FuncOp>(op) ? "kernel" : isProgram(op) ? "program" : "function", SymbolTable::getSymbolName(&op).str(),
                        foldLines(text, stems)};
    op.walk([&](Operation *inner) { section.ops += inner != &op; });
    section.flops = isa<kernel::FuncOp>(op) ? kernelFlops[section.name] : countFlops(&op, kernelFlops);
    if (auto uses = calls.functions.find(section.name); uses != calls.functions.end()) {
      section.calls = uses->second.count;
      section.first = uses->second.first;
      section.last = uses->second.last;
    }
    sections.push_back(std::move(section));
  }
  finishState();
  return sections;
}

static PageKernel::Argument describeArgument(BlockArgument argument) {
  auto type = cast<MemRefType>(argument.getType());
  PageKernel::Argument result{step::getName(argument.getLoc(), ""), "", ""};
  llvm::raw_string_ostream stream(result.type);
  for (int64_t size : type.getShape())
    stream << size << 'x';
  stream << type.getElementType();
  bool read = llvm::any_of(argument.getUsers(), [](Operation *user) { return isa<kernel::LoadOp>(user); });
  bool written = llvm::any_of(argument.getUsers(), [](Operation *user) { return isa<kernel::StoreOp>(user); });
  result.access = read && written ? "rw" : written ? "w" : "r";
  return result;
}

std::vector<PageKernel> cli::getKernels(ModuleOp module) {
  Calls calls(module);
  llvm::StringMap<int64_t> launches = calls.launches;
  for (auto function : module.getOps<step::FunctionOp>())
    for (auto launch : function.getOps<step::LaunchOp>())
      launches[launch.getKernel()] += calls.functions.lookup(function.getSymName()).count;
  std::vector<PageKernel> kernels;
  for (auto kernel : module.getOps<kernel::FuncOp>()) {
    PageKernel &result = kernels.emplace_back();
    result.name = kernel.getSymName().str();
    if (auto family = kernel->getAttrOfType<StringAttr>(step::kFamilyAttr))
      result.family = family.str();
    if (auto function = kernel->getAttrOfType<StringAttr>(step::kDefinedByAttr))
      result.definedBy = function.str();
    llvm::append_range(result.grid, kernel.getGrid());
    for (BlockArgument argument : kernel.getBody().getArguments())
      result.arguments.push_back(describeArgument(argument));
    result.flops = getFigure(kernel, step::kFlopsAttr);
    result.bytes = getFigure(kernel, step::kBytesAttr);
    result.launches = launches.lookup(result.name);
  }
  return kernels;
}

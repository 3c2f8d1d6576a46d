//===- QuantisationReport.cpp - 8-bit products in reports -----------------===//

#include "frontend/cli/QuantisationReport.h"

#include "frontend/dump/Costs.h"
#include "frontend/dump/PhaseFigures.h"
#include "ir/kernel/KernelDialect.h"
#include "ir/step/StepDialect.h"
#include "passes/fusion/ExtraPasses.h"
#include "passes/step/KernelFigures.h"

using namespace mlir;
using namespace primus;

/// Adds how often a block launches each kernel when it runs `times` times.
static void countLaunches(Block &block, int64_t times, const SymbolTable &symbols, llvm::StringMap<int64_t> &launches) {
  for (Operation &op : block) {
    if (auto launch = dyn_cast<step::LaunchOp>(op))
      launches[launch.getKernel()] += times;
    else if (auto loop = dyn_cast<step::LoopOp>(op))
      countLaunches(loop.getBody().front(), times * loop.getCount(), symbols, launches);
    else if (auto call = dyn_cast<step::CallOp>(op))
      countLaunches(symbols.lookup<step::FunctionOp>(call.getCallee()).getBody().front(), times, symbols, launches);
  }
}

nlohmann::ordered_json cli::describeQuantisation(const nlohmann::ordered_json &kernels, ModuleOp module) {
  auto products = module->getAttrOfType<IntegerAttr>(fusion::kQuantisedProductsAttr);
  if (!products)
    return nullptr;
  llvm::StringMap<int64_t> launches;
  module.walk([&](step::LaunchOp launch) { ++launches[launch.getKernel()]; });
  SymbolTable symbols(module);
  llvm::StringMap<int64_t> launchesOfStep;
  CostCounter counter(module);
  double extraBytes = 0, stepBytes = 0;
  for (Operation *program : getStepPrograms(module)) {
    Block &body = program->getRegion(0).front();
    countLaunches(body, 1, symbols, launchesOfStep);
    stepBytes += counter.count(body).bytes;
  }
  auto passes = nlohmann::ordered_json::array();
  for (auto [entry, kernel] : llvm::zip_equal(kernels, module.getOps<kernel::FuncOp>()))
    if (auto why = kernel->getAttrOfType<StringAttr>(step::kExtraPassAttr)) {
      passes.push_back({{"kernel", entry["name"]}, {"bytes", entry["bytes"]}, {"launches", launches[kernel.getSymName()]}, {"why", why.str()}});
      extraBytes += entry["bytes"].get<double>() * static_cast<double>(launchesOfStep[kernel.getSymName()]);
    }
  return {{"products", products.getInt()},
          {"extra_passes", passes},
          {"extra_bytes", describeCount(extraBytes)},
          {"step_bytes", describeCount(stepBytes)}};
}

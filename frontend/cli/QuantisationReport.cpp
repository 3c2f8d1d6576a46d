//===- QuantisationReport.cpp - 8-bit products in reports -----------------===//

#include "frontend/cli/QuantisationReport.h"

#include "ir/kernel/KernelDialect.h"
#include "ir/step/StepDialect.h"
#include "passes/fusion/ExtraPasses.h"
#include "passes/step/KernelFigures.h"

using namespace mlir;
using namespace primus;

nlohmann::ordered_json cli::describeQuantisation(const nlohmann::ordered_json &kernels, ModuleOp module) {
  auto products = module->getAttrOfType<IntegerAttr>(fusion::kQuantisedProductsAttr);
  if (!products)
    return nullptr;
  llvm::StringMap<int64_t> launches;
  module.walk([&](step::LaunchOp launch) { ++launches[launch.getKernel()]; });
  auto passes = nlohmann::ordered_json::array();
  for (auto [entry, kernel] : llvm::zip_equal(kernels, module.getOps<kernel::FuncOp>()))
    if (auto why = kernel->getAttrOfType<StringAttr>(step::kExtraPassAttr))
      passes.push_back({{"kernel", entry["name"]}, {"bytes", entry["bytes"]}, {"launches", launches[kernel.getSymName()]}, {"why", why.str()}});
  return {{"products", products.getInt()}, {"extra_passes", passes}};
}

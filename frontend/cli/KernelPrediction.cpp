//===- KernelPrediction.cpp - How long kernels should take ----------------===//

#include "frontend/cli/KernelPrediction.h"

#include "ir/kernel/KernelDialect.h"

using namespace mlir;
using namespace primus;

/// Operations per second: of matrix products of the kernel's operands, else of f32.
static double getRate(kernel::FuncOp kernel, const spec::Hardware &hardware) {
  double rate = hardware.f32_flops();
  kernel.walk([&](kernel::DotOp dot) {
    Type element = cast<ShapedType>(dot->getOperand(0).getType()).getElementType();
    if (element.isBF16() || element.isF16())
      rate = element.isBF16() ? hardware.bf16_flops() : hardware.f16_flops();
    else if (element.getIntOrFloatBitWidth() == 8)
      rate = hardware.f8_flops();
  });
  return rate;
}

void cli::addPredictions(nlohmann::ordered_json &kernels, ModuleOp module, const spec::Hardware &hardware) {
  for (auto [entry, kernel] : llvm::zip_equal(kernels, module.getOps<kernel::FuncOp>())) {
    auto prediction = kernel->getAttrOfType<DictionaryAttr>("prediction");
    auto seconds = prediction ? prediction.getAs<FloatAttr>("seconds") : FloatAttr();
    auto bound = prediction ? prediction.getAs<StringAttr>("bound") : StringAttr();
    if (seconds && bound) {
      entry["predicted_seconds"] = seconds.getValueAsDouble();
      entry["bound"] = bound.str();
      continue;
    }
    if (hardware.memory_bandwidth() <= 0 || hardware.f32_flops() <= 0)
      continue;
    double rate = getRate(kernel, hardware);
    double compute = rate > 0 ? entry["flops"].get<double>() / rate : 0;
    double memory = entry["bytes"].get<double>() / hardware.memory_bandwidth();
    entry["predicted_seconds"] = std::max(compute, memory);
    entry["bound"] = compute > memory ? "compute" : "memory";
  }
}

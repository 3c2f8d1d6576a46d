//===- ModelCounts.cpp - Parameters of a model, operations of a step ------===//

#include "frontend/models/ModelBuilder.h"
#include "ir/graph/GraphDialect.h"
#include "passes/Plan.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace primus;

static constexpr StringLiteral kFlopsAttr = "primus.flops_per_step";

void models::setModelFlops(ModuleOp module, double flops) {
  Builder builder(module.getContext());
  module->setAttr(kFlopsAttr, flops < 0x1p63 ? Attribute(builder.getI64IntegerAttr(static_cast<int64_t>(flops)))
                                             : Attribute(builder.getF64FloatAttr(flops)));
}

std::optional<double> models::getModelFlops(ModuleOp module) {
  if (auto flops = module->getAttrOfType<IntegerAttr>(kFlopsAttr))
    return static_cast<double>(flops.getInt());
  if (auto flops = module->getAttrOfType<FloatAttr>(kFlopsAttr))
    return flops.getValueAsDouble();
  return std::nullopt;
}

double models::countModelFlops(ModuleOp module) {
  FailureOr<Plan> plan = Plan::get(module);
  auto forward = module.lookupSymbol<func::FuncOp>("forward");
  if (failed(plan) || !forward)
    return 0;
  llvm::StringMap<int64_t> perFunction;
  double flops = 0;
  forward.walk([&](graph::CallOp call) {
    auto [entry, isNew] = perFunction.try_emplace(call.getCallee(), 0);
    auto callee = module.lookupSymbol<func::FuncOp>(call.getCallee());
    if (isNew && callee)
      callee.walk([&, flopsOfCallee = &entry->second](graph::Costed op) {
        if (isa<graph::MatmulOp, graph::AttentionOp, graph::CrossEntropyOp>(op.getOperation()))
          *flopsOfCallee += op.getCost().flops;
      });
    flops += static_cast<double>(entry->second);
  });
  return 3 * flops * static_cast<double>(plan->microbatches);
}

int64_t models::countParameters(ModuleOp module, const spec::Model &model) {
  int64_t padding = (model.embedding().padded_vocabulary() - model.embedding().vocabulary()) * model.width();
  int64_t count = 0;
  for (auto variable : module.getOps<graph::VariableOp>()) {
    if (variable.getRole() != graph::Role::Parameter)
      continue;
    bool hasPadding = variable.getSymName() == "embedding.weight" || variable.getSymName() == "head.weight";
    count += variable.getTensorType().getNumElements() - (hasPadding ? padding : 0);
  }
  return count;
}

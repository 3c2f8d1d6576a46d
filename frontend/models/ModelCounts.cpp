//===- ModelCounts.cpp - Parameters of a model, operations of a step ------===//

#include "frontend/models/ModelBuilder.h"
#include "ir/graph/GraphDialect.h"
#include "passes/Plan.h"

using namespace mlir;
using namespace primus;

int64_t models::countModelFlops(ModuleOp module) {
  FailureOr<Plan> plan = Plan::get(module);
  auto forward = module.lookupSymbol<func::FuncOp>("forward");
  if (failed(plan) || !forward)
    return 0;
  llvm::StringMap<int64_t> perFunction;
  int64_t flops = 0;
  forward.walk([&](graph::CallOp call) {
    auto [entry, isNew] = perFunction.try_emplace(call.getCallee(), 0);
    auto callee = module.lookupSymbol<func::FuncOp>(call.getCallee());
    if (isNew && callee)
      callee.walk([&, flopsOfCallee = &entry->second](graph::Costed op) {
        if (isa<graph::MatmulOp, graph::AttentionOp, graph::CrossEntropyOp>(op.getOperation()))
          *flopsOfCallee += op.getCost().flops;
      });
    flops += entry->second;
  });
  return 3 * flops * plan->microbatches;
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

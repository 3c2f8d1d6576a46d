//===- SplitStages.cpp - A program for each rank of a pipeline -------------===//

#include "passes/Passes.h"
#include "passes/stages/ForwardStages.h"
#include "passes/stages/StageProgram.h"

namespace primus {
#define GEN_PASS_DEF_SPLITSTAGES
#include "passes/Passes.h.inc"
} // namespace primus

using namespace mlir;
using namespace primus;
using namespace primus::stages;

namespace {

struct SplitStages : primus::impl::SplitStagesBase<SplitStages> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (!module->hasAttr(kPipelineAttr))
      return markAllAnalysesPreserved();
    SharedFunctions shared(module);
    std::optional<StageMap> step;
    SmallVector<func::FuncOp> others;
    for (func::FuncOp program : llvm::to_vector(module.getOps<func::FuncOp>())) {
      if (program->hasAttr(graph::kLayerAttr))
        continue;
      if (program.getOps<graph::ScheduleOp>().empty()) {
        others.push_back(program);
        continue;
      }
      FailureOr<StageMap> map = StageMap::get(program);
      if (failed(map))
        return signalPassFailure();
      SharedVariables variables = SharedVariables::find(*map, program);
      for (int32_t rank = map->getTable().getRanks(); rank-- > 0;)
        StageProgram(*map, program, rank, shared, variables).build();
      shared.symbols.erase(program);
      step = std::move(*map);
    }
    if (!step)
      return;
    // No rank has all variables.
    for (func::FuncOp program : others) {
      if (failed(splitForward(program, *step, shared.symbols)))
        return signalPassFailure();
      shared.symbols.erase(program);
    }
  }
};

} // namespace

//===- SplitStages.cpp - A program for each rank of a pipeline -------------===//

#include "passes/Passes.h"
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
    for (func::FuncOp program : llvm::to_vector(module.getOps<func::FuncOp>())) {
      if (program->hasAttr(graph::kLayerAttr))
        continue;
      // No rank has all variables.
      if (program.getOps<graph::ScheduleOp>().empty()) {
        shared.symbols.erase(program);
        continue;
      }
      FailureOr<StageMap> map = StageMap::get(program);
      if (failed(map))
        return signalPassFailure();
      SharedVariables variables = SharedVariables::find(*map, program);
      for (int32_t rank = map->getTable().getRanks(); rank-- > 0;)
        StageProgram(*map, program, rank, shared, variables).build();
      shared.symbols.erase(program);
    }
  }
};

} // namespace

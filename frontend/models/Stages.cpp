//===- Stages.cpp - From parallel sizes to a pipeline ---------------------===//

#include "frontend/models/Stages.h"

#include "passes/schedules/Schedules.h"
#include "passes/stages/StageMap.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace primus;

/// How many layers each stage has, in the order of stages.
static SmallVector<int64_t> getStageLayers(const spec::TrainingSpec &spec) {
  const spec::Parallelism &parallel = spec.parallelism();
  if (!parallel.stage_layers().empty())
    return {parallel.stage_layers().begin(), parallel.stage_layers().end()};
  int64_t layers = 0, stages = parallel.pipeline() * std::max<int64_t>(parallel.virtual_stages(), 1);
  for (const spec::LayerGroup &group : spec.model().layers())
    layers += group.count();
  return SmallVector<int64_t>(stages, layers / stages);
}

LogicalResult models::setPipeline(ModuleOp module, const spec::TrainingSpec &spec, int64_t microbatches) {
  const spec::Parallelism &parallel = spec.parallelism();
  SmallVector<int64_t> layers = getStageLayers(spec);
  Builder builder(module.getContext());
  SmallVector<Attribute> first;
  int64_t next = 0;
  for (auto [stage, count] : llvm::enumerate(layers)) {
    bool isLast = stage + 1 == layers.size();
    if (count == 0 && stage > 0 && !isLast)
      return module.emitError() << "stage " << stage << " of the pipeline has no layer, no embedding and no head";
    std::string name = stage == 0 ? "embedding" : count == 0 ? "head" : "layers." + std::to_string(next);
    first.push_back(builder.getStringAttr(name));
    next += count;
  }
  const schedules::Schedule &schedule =
      *schedules::findSchedule(static_cast<int64_t>(layers.size()) > parallel.pipeline() ? "interleaved" : "1f1b");
  schedules::Request request;
  request.ranks = static_cast<int32_t>(parallel.pipeline());
  request.stagesPerRank = static_cast<int32_t>(layers.size() / parallel.pipeline());
  request.microbatches = static_cast<int32_t>(microbatches);
  llvm::Expected<schedules::Table> table = schedules::generate(schedule, request);
  if (!table)
    return module.emitError() << llvm::toString(table.takeError());
  module->setAttr(stages::kPipelineAttr,
                  builder.getDictionaryAttr({builder.getNamedAttr("stages", builder.getArrayAttr(first)),
                                             builder.getNamedAttr("table", builder.getStringAttr(schedules::toCsv(*table)))}));
  return success();
}

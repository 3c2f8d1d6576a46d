//===- Stages.cpp - From parallel sizes to a pipeline ---------------------===//

#include "frontend/models/Stages.h"

#include "frontend/config/PipelineStages.h"
#include "frontend/config/StageBalance.h"

#include "passes/schedules/Schedules.h"
#include "passes/stages/StageMap.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace primus;

/// The schedule's table: the spec's own or that of the schedule that it names.
static llvm::Expected<schedules::Table> makeTable(const spec::TrainingSpec &spec, int64_t microbatches) {
  const spec::Parallelism &parallel = spec.parallelism();
  if (!parallel.schedule_table().empty())
    return schedules::parseCsv(parallel.schedule_table());
  std::string name = config::getScheduleName(parallel);
  const schedules::Schedule *schedule = schedules::findSchedule(name);
  if (!schedule)
    return llvm::createStringError("there is no pipeline schedule '%s'", name.c_str());
  schedules::Request request;
  request.ranks = static_cast<int32_t>(parallel.pipeline());
  request.stagesPerRank = static_cast<int32_t>(config::countStagesPerRank(parallel));
  request.microbatches = static_cast<int32_t>(microbatches);
  request.costs = config::ModelWork(spec).getCosts(config::getStageLayers(spec));
  return schedules::generate(*schedule, request);
}

LogicalResult models::setPipeline(ModuleOp module, const spec::TrainingSpec &spec, int64_t microbatches) {
  std::vector<int64_t> layers = config::getStageLayers(spec);
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
  llvm::Expected<schedules::Table> table = makeTable(spec, microbatches);
  if (!table)
    return module.emitError() << llvm::toString(table.takeError());
  module->setAttr(stages::kPipelineAttr,
                  builder.getDictionaryAttr({builder.getNamedAttr("stages", builder.getArrayAttr(first)),
                                             builder.getNamedAttr("table", builder.getStringAttr(schedules::toCsv(*table)))}));
  return success();
}

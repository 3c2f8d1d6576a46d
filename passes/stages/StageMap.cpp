//===- StageMap.cpp - What each stage of a pipeline runs -------------------===//

#include "passes/stages/StageMap.h"

#include "passes/LayerFunction.h"
#include "passes/schedules/Check.h"

#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace primus;
using namespace primus::stages;

LogicalResult StageMap::readStages(func::FuncOp program) {
  auto module = program->getParentOfType<ModuleOp>();
  auto pipeline = module->getAttrOfType<DictionaryAttr>(kPipelineAttr);
  auto first = pipeline ? pipeline.getAs<ArrayAttr>("stages") : ArrayAttr();
  auto csv = pipeline ? pipeline.getAs<StringAttr>("table") : StringAttr();
  if (!first || !csv || !llvm::all_of(first, llvm::IsaPred<StringAttr>))
    return module.emitError() << "needs " << kPipelineAttr << " = {stages = [first instance of each stage], table = \"CSV\"}";
  llvm::Expected<schedules::Table> parsed = schedules::parseCsv(csv.getValue());
  if (!parsed)
    return module.emitError() << kPipelineAttr << ": " << llvm::toString(parsed.takeError());
  table = std::move(*parsed);
  if (!table.hasMessages())
    schedules::addMessages(table);
  if (std::optional<schedules::Defect> defect = schedules::check(table))
    return module.emitError() << kPipelineAttr << ", rank " << defect->rank << ", cell " << defect->column + 1 << ": "
                              << defect->message;
  if (static_cast<int32_t>(first.size()) != table.stages)
    return module.emitError() << kPipelineAttr << " names the first instances of " << first.size()
                              << " stages, but its table has " << table.stages;
  auto mesh = module->getAttrOfType<graph::MeshAttr>(graph::kMeshAttr);
  if (int64_t ranks = mesh ? mesh.getSize("pp").value_or(1) : 1; ranks != table.getRanks())
    return module.emitError() << kPipelineAttr << " has a table of " << table.getRanks() << " ranks, but the mesh axis pp has "
                              << ranks;

  // Forward calls in program order; a stage ends where the next begins.
  int32_t stage = -1;
  for (auto call : schedule.getBody().getOps<graph::CallOp>()) {
    auto callee = module.lookupSymbol<func::FuncOp>(call.getCallee());
    if (!getPart(callee).starts_with("forward"))
      continue;
    if (stage + 1 < table.stages && cast<StringAttr>(first[stage + 1]).getValue() == call.getInstance())
      ++stage;
    if (stage < 0)
      return call.emitOpError() << "comes before the first stage, which begins with " << first[0];
    stageOfInstance[call.getInstance()] = stage;
  }
  if (stage + 1 != table.stages)
    return program.emitError() << "has no forward call of " << first[stage + 1] << " behind those of stage " << stage
                               << "; " << kPipelineAttr << " lets a stage begin there";
  return success();
}

std::optional<int32_t> StageMap::findStage(StringRef instance) const {
  auto found = stageOfInstance.find(instance);
  return found == stageOfInstance.end() ? std::nullopt : std::optional(found->second);
}

std::optional<int32_t> StageMap::findRank(StringRef instance) const {
  std::optional<int32_t> stage = findStage(instance);
  return stage ? std::optional(table.rankOfStage[*stage]) : std::nullopt;
}

LogicalResult StageMap::sortOps() {
  forward.resize(table.stages);
  backward.resize(table.stages);
  llvm::DenseMap<Operation *, llvm::SmallVector<Operation *> *> lists;
  for (Operation &op : schedule.getBody().front()) {
    if (auto call = dyn_cast<graph::CallOp>(op)) {
      auto callee = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(call, call.getCalleeAttr());
      std::optional<int32_t> stage = findStage(call.getInstance());
      if (!stage)
        return call.emitOpError("is of an instance that no stage has");
      // Parameters are gathered by whoever uses them.
      if (getPart(callee) == "unshard")
        continue;
      stageOfOp[call] = *stage;
      auto &list = (getPart(callee).starts_with("forward") ? forward : backward)[*stage];
      list.push_back(call);
      lists[call] = &list;
    } else if (auto store = dyn_cast<graph::StoreOp>(op)) {
      Operation *source = store.getValue().getDefiningOp();
      if (!lists.contains(source))
        return store.emitOpError("must store what a call of a layer computes, as it is in a pipeline");
      lists[source]->push_back(store);
      stageOfOp[store] = stageOfOp.lookup(source);
    }
  }
  return success();
}

LogicalResult StageMap::findMessages() {
  std::vector<llvm::SmallSetVector<Value, 4>> up(table.stages), down(table.stages);
  for (auto call : schedule.getBody().getOps<graph::CallOp>())
    for (Value operand : call.getOperands()) {
      Operation *source = operand.getDefiningOp();
      if (!stageOfOp.contains(call) || !stageOfOp.contains(source))
        continue;
      int32_t from = stageOfOp.lookup(source), to = stageOfOp.lookup(call);
      if (std::abs(from - to) > 1)
        return call.emitOpError() << "of stage " << to << " uses a value of stage " << from
                                  << "; values go from a stage to the next only";
      if (to != from)
        (to > from ? up : down)[from].insert(operand);
    }
  for (int32_t stage = 0; stage < table.stages; ++stage) {
    activations.push_back(up[stage].takeVector());
    gradients.push_back(down[stage].takeVector());
  }
  return success();
}

FailureOr<StageMap> StageMap::get(func::FuncOp program) {
  StageMap map;
  auto schedules = llvm::to_vector(program.getOps<graph::ScheduleOp>());
  if (schedules.size() != 1)
    return program.emitError() << "has " << schedules.size() << " schedules of microbatches; a pipeline needs one";
  map.schedule = schedules.front();
  if (failed(map.readStages(program)) || failed(map.sortOps()) || failed(map.findMessages()))
    return failure();
  if (map.table.microbatches != static_cast<int64_t>(map.schedule.getMicrobatches()))
    return map.schedule.emitOpError() << "has " << map.schedule.getMicrobatches() << " microbatches, but the table of "
                                      << kPipelineAttr << " has " << map.table.microbatches;
  return map;
}

ArrayRef<Operation *> StageMap::getOps(ActionKind kind, int32_t stage) const {
  return (kind == ActionKind::Forward ? forward : backward)[stage];
}

ArrayRef<Value> StageMap::getMessage(ActionKind kind, int32_t stage) const {
  return (kind == ActionKind::Forward ? activations : gradients)[stage];
}

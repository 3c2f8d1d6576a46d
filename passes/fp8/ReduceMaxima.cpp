//===- ReduceMaxima.cpp - Largest values of all ranks ---------------------===//

#include "passes/fp8/DelayedState.h"

#include "passes/LayerFunction.h"
#include "passes/Program.h"
#include "passes/stages/StageMap.h"

using namespace mlir;
using namespace primus;
using namespace primus::fp8;
using primus::graph::GraphBuilder;

/// The calls of parts `rescale`, by the stage of the pipeline that they belong to.
static llvm::MapVector<int64_t, SmallVector<graph::CallOp>> findRescales(func::FuncOp program) {
  auto module = program->getParentOfType<ModuleOp>();
  auto pipeline = module->getAttrOfType<DictionaryAttr>(stages::kPipelineAttr);
  auto first = pipeline ? pipeline.getAs<ArrayAttr>("stages") : ArrayAttr();
  SymbolTable symbols(module);
  auto isPart = [&](graph::CallOp call, StringRef part) { return getPart(symbols.lookup<func::FuncOp>(call.getCallee())) == part; };
  llvm::StringMap<int64_t> stages;
  int64_t stage = 0;
  program.walk([&](graph::CallOp call) {
    if (!isPart(call, "forward"))
      return;
    stage += first && stage + 1 < int64_t(first.size()) && first[stage + 1] == call.getInstanceAttr();
    stages[call.getInstance()] = stage;
  });
  llvm::MapVector<int64_t, SmallVector<graph::CallOp>> calls;
  for (auto call : program.getOps<graph::CallOp>())
    if (isPart(call, "rescale"))
      calls[stages[call.getInstance()]].push_back(call);
  return calls;
}

void fp8::setMaximum(func::FuncOp function, unsigned index) {
  function.setArgAttr(index, kSharingAttr, StringAttr::get(function.getContext(), kSharedAsMaximum));
}

void fp8::reduceMaxima(ModuleOp module) {
  auto mesh = module->getAttrOfType<graph::MeshAttr>(graph::kMeshAttr);
  auto program = module.lookupSymbol<func::FuncOp>(kTrainStepProgram);
  if (!program || !mesh || mesh.getNumRanks() == mesh.getSize("pp").value_or(1))
    return;
  for (const auto &[stage, calls] : findRescales(program)) {
    OpBuilder builder(module.getContext());
    graph::CallOp front = calls.front();
    builder.setInsertionPoint(module.lookupSymbol(front.getCallee()));
    SmallVector<Value> values;
    for (graph::CallOp call : calls)
      values.push_back(call->getOperand(0));
    SmallVector<Type> types(ValueRange(values).getTypes());
    auto function = func::FuncOp::create(builder, module.getLoc(), ("fp8.maxima." + Twine(stage)).str(),
                                         builder.getFunctionType(types, types));
    function.setPrivate();
    function->setAttr(graph::kLayerAttr, getLayerAttr(builder.getContext(), "fp8", "maxima"));
    Block *block = function.addEntryBlock();
    for (auto [index, call] : llvm::enumerate(calls)) {
      function.setArgAttrs(index, getArgAttrs(builder.getContext(), (graph::CallOp(call).getInstance() + ".fp8.amax").str(), ArgKind::Scalar));
      setMaximum(function, index);
    }
    builder.setInsertionPointToEnd(block);
    GraphBuilder b(builder, NameLoc::get(builder.getStringAttr("fp8.amax"), function.getLoc()));
    Value all = b.concat(SmallVector<Value>(block->getArguments()), 0);
    SmallVector<Value> results;
    int64_t begin = 0;
    for (Type type : types) {
      int64_t size = cast<RankedTensorType>(type).getDimSize(0);
      results.push_back(b.slice(all, 0, begin, size));
      begin += size;
    }
    func::ReturnOp::create(builder, function.getLoc(), results);

    // In front of the first; all the values are there by then.
    builder.setInsertionPoint(front);
    for (Value &value : values)
      value = builder.clone(*value.getDefiningOp())->getResult(0);
    auto joined = graph::CallOp::create(builder, front.getLoc(), types, function.getName(), values, front.getInstance());
    for (auto [call, value] : llvm::zip_equal(calls, joined.getResults()))
      call->setOperand(0, value);
  }
}

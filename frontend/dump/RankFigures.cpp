//===- RankFigures.cpp - What each pipeline rank holds and sends ----------===//

#include "frontend/dump/RankFigures.h"

#include "frontend/dump/Costs.h"
#include "frontend/dump/PhaseFigures.h"
#include "ir/graph/GraphDialect.h"

#include <map>

using namespace mlir;
using namespace primus;
using namespace primus::cli;
using Json = nlohmann::ordered_json;

namespace {

/// What a rank sends in one run of something, by kind of collective and axes.
using Communication = std::map<std::pair<std::string, std::vector<std::string>>, std::pair<int64_t, int64_t>>;

class CommunicationCounter {
public:
  explicit CommunicationCounter(ModuleOp module)
      : symbols(module), mesh(module->getAttrOfType<graph::MeshAttr>(graph::kMeshAttr)) {}

  Communication count(Block &block) {
    Communication sum;
    for (Operation &op : block) {
      if (auto collective = dyn_cast<graph::CollectiveOpInterface>(op)) {
        std::vector<std::string> axes;
        for (auto axis : collective.getAxes().getAsValueRange<StringAttr>())
          axes.push_back(axis.str());
        int64_t group = mesh ? mesh.getGroupSize(collective.getAxes()).value_or(1) : 1;
        // A block of what a rank has is nothing to send.
        if (int64_t bytes = collective.getBytesSent(group))
          add(sum, op.getName().stripDialect(), axes, 1, bytes);
      } else if (auto send = dyn_cast<graph::SendOp>(op)) {
        add(sum, "send", {"pp"}, 1, sumBytes(send.getValues().getTypes()));
      } else if (auto stages = dyn_cast<graph::SumStagesOp>(op)) {
        // Each sends its value to all others.
        int64_t others = (mesh ? mesh.getSize("pp").value_or(1) : 1) - 1;
        add(sum, "sum_stages", {"pp"}, 1, others * getBytes(stages.getOperand().getType()));
      } else if (auto call = dyn_cast<graph::CallOp>(op)) {
        add(sum, countFunction(symbols.lookup<func::FuncOp>(call.getCallee())), 1);
      } else if (auto schedule = dyn_cast<graph::ScheduleOp>(op)) {
        add(sum, count(schedule.getBody().front()), static_cast<int64_t>(schedule.getMicrobatches()));
      }
    }
    return sum;
  }

private:
  static void add(Communication &sum, StringRef kind, const std::vector<std::string> &axes, int64_t count, int64_t bytes) {
    auto &entry = sum[{kind.str(), axes}];
    entry.first += count;
    entry.second += bytes;
  }
  static void add(Communication &sum, const Communication &other, int64_t times) {
    for (const auto &[key, value] : other)
      add(sum, key.first, key.second, times * value.first, times * value.second);
  }
  const Communication &countFunction(func::FuncOp function) {
    auto [entry, isNew] = known.try_emplace(function);
    if (isNew && function && !function.empty()) {
      Communication sum = count(function.front());
      return known[function] = std::move(sum);
    }
    return entry->second;
  }

  SymbolTable symbols;
  graph::MeshAttr mesh;
  std::map<Operation *, Communication> known;
};

} // namespace

static Json describeProgram(ModuleOp module, func::FuncOp program, CommunicationCounter &counter, int64_t ranks) {
  auto stage = program->getAttrOfType<IntegerAttr>(graph::kStageAttr);
  llvm::StringSet<> used = getVariables(program);
  int64_t bytes[4] = {}, variables = 0;
  for (auto variable : module.getOps<graph::VariableOp>()) {
    if (stage && !used.contains(variable.getSymName()))
      continue;
    int64_t size = getBytes(variable.getTensorType());
    bytes[static_cast<unsigned>(variable.getRole())] += size;
    variables += size;
  }
  int64_t inputs = sumBytes(program.getArgumentTypes()) + sumBytes(program.getResultTypes());
  int64_t peak = estimatePeak(module, program);
  Json communication = Json::array();
  for (const auto &[key, value] : counter.count(program.front()))
    communication.push_back({{"kind", key.first}, {"axes", key.second}, {"count", value.first}, {"bytes", value.second}});
  auto of = [&](graph::Role role) { return bytes[static_cast<unsigned>(role)]; };
  return {{"stage", stage ? stage.getInt() : 0},
          {"count", ranks},
          {"peak_bytes", peak},
          {"peak_planned", false},
          {"parameter_bytes", of(graph::Role::Parameter)},
          {"gradient_bytes", of(graph::Role::Gradient)},
          {"optimizer_bytes", of(graph::Role::Optimizer)},
          {"constant_bytes", of(graph::Role::Constant)},
          {"input_bytes", inputs},
          {"activation_bytes", peak - variables - inputs},
          {"communication", communication}};
}

Json cli::describeRanks(ModuleOp module) {
  if (!module->hasAttr(graph::kPlacedAttr))
    return nullptr;
  auto mesh = module->getAttrOfType<graph::MeshAttr>(graph::kMeshAttr);
  Json ranks = Json::array();
  CommunicationCounter counter(module);
  SmallVector<Operation *> programs = getStepPrograms(module);
  for (Operation *program : programs)
    if (auto function = dyn_cast<func::FuncOp>(program))
      ranks.push_back(describeProgram(module, function, counter, (mesh ? mesh.getNumRanks() : 1) / static_cast<int64_t>(programs.size())));
  return ranks.empty() ? Json(nullptr) : ranks;
}

//===- Snapshots.cpp - A phase, pass by pass ------------------------------===//

#include "frontend/bisect/Snapshots.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/OperationSupport.h"
#include "mlir/Pass/PassInstrumentation.h"
#include "mlir/Pass/PassManager.h"

using namespace mlir;
using namespace primus;
using namespace primus::bisect;

namespace {

class TakeSnapshots : public PassInstrumentation {
public:
  TakeSnapshots(ModuleOp module, std::vector<Snapshot> &snapshots)
      : module(module), snapshots(snapshots), present(module) {}

  void runAfterPass(Pass *pass, Operation *op) override {
    OperationFingerPrint now(module);
    if (now == present)
      return;
    present = now;
    std::string name = pass->getArgument().empty() ? pass->getName().str() : pass->getArgument().str();
    if (auto function = dyn_cast<func::FuncOp>(op))
      name += " on @" + function.getName().str();
    snapshots.push_back({std::move(name), module.clone()});
  }

private:
  ModuleOp module;
  std::vector<Snapshot> &snapshots;
  OperationFingerPrint present;
};

} // namespace

LogicalResult bisect::runPasses(const Phase &phase, ModuleOp module, std::vector<Snapshot> *snapshots) {
  PassManager passes(module.getContext(), ModuleOp::getOperationName());
  phase.build(passes);
  if (snapshots)
    passes.addInstrumentation(std::make_unique<TakeSnapshots>(module, *snapshots));
  return passes.run(module);
}

//===- Asynchronous.cpp - What runs beside the step program ----------------===//
//
// Between the start of a collective and its wait, other actions run beside it: none of them may touch its targets or write its sources.
// This is judged by buffers; that no two buffers share bytes while both are live is checked by VerifyStep.
//
//===----------------------------------------------------------------------===//

#include "passes/step/Accesses.h"
#include "passes/verify/PhaseVerifiers.h"

using namespace mlir;
using namespace primus;
using namespace primus::step;

namespace {

class AsynchronousVerifier {
public:
  explicit AsynchronousVerifier(ModuleOp module) : module(module), analysis(module) {}

  LogicalResult run();

private:
  struct Running {
    CollectiveOp collective;
    SmallVector<Access> accesses;
  };
  LogicalResult verify(Block &block);
  LogicalResult verifyAction(Operation *action, MutableArrayRef<Running> running);

  ModuleOp module;
  AccessAnalysis analysis;
  DenseMap<int64_t, CollectiveOp> tickets;
};

} // namespace

LogicalResult AsynchronousVerifier::verifyAction(Operation *action, MutableArrayRef<Running> running) {
  SmallVector<Access> accesses = analysis.getAccesses(action);
  for (Running &other : running)
    for (const Access &access : accesses)
      for (const Access &used : other.accesses)
        if (access.conflicts(used)) {
          InFlightDiagnostic error = action->emitOpError() << (access.writes ? "writes" : "reads") << " a buffer that the collective with ticket "
                                                           << other.collective.getTicket() << (used.writes ? " still writes" : " still reads");
          error.attachNote(other.collective.getLoc()) << "started here; wait for it before";
          return error;
        }
  return success();
}

LogicalResult AsynchronousVerifier::verify(Block &block) {
  SmallVector<Running> running;
  for (Operation &op : block) {
    if (auto wait = dyn_cast<WaitOp>(op)) {
      auto *entry = llvm::find_if(running, [&](Running &other) { return other.collective.getTicket() == wait.getTicket(); });
      if (entry == running.end())
        return wait.emitOpError() << "waits for ticket " << wait.getTicket() << ", which no collective has that runs here";
      running.erase(entry);
      continue;
    }
    if (failed(verifyAction(&op, running)))
      return failure();
    for (Region &region : op.getRegions())
      for (Block &inner : region)
        if (failed(verify(inner)))
          return failure();
    auto collective = dyn_cast<CollectiveOp>(op);
    if (!collective || !collective.isAsynchronous())
      continue;
    if (CollectiveOp &other = tickets[collective.getTicket()]; other) {
      InFlightDiagnostic error = collective.emitOpError() << "has ticket " << collective.getTicket() << " like another collective";
      error.attachNote(other.getLoc()) << "which is here";
      return error;
    }
    tickets[collective.getTicket()] = collective;
    running.push_back({collective, analysis.getAccesses(collective)});
  }
  for (Running &other : running)
    return other.collective.emitOpError() << "is never waited for in its block: add step.wait " << other.collective.getTicket();
  return success();
}

LogicalResult AsynchronousVerifier::run() {
  for (Operation &op : module.getOps())
    if (isa<FunctionOp, ProgramOp>(op) && failed(verify(op.getRegion(0).front())))
      return failure();
  return success();
}

LogicalResult primus::verifyAsynchronous(ModuleOp module) { return AsynchronousVerifier(module).run(); }

//===- Asynchronous.cpp - What runs beside the step program ----------------===//
//
// Between the start of an exchange and its wait, other actions run beside it: none of them may touch its targets or write its sources.
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
    ExchangeOpInterface exchange;
    SmallVector<Access> accesses;
  };
  LogicalResult verify(Block &block);
  LogicalResult verifyAction(Operation *action, MutableArrayRef<Running> running);

  ModuleOp module;
  AccessAnalysis analysis;
  DenseMap<int64_t, Operation *> tickets;
};

} // namespace

/// "collective", "send" or "receive".
static StringRef describe(Operation *exchange) { return exchange->getName().stripDialect(); }

LogicalResult AsynchronousVerifier::verifyAction(Operation *action, MutableArrayRef<Running> running) {
  SmallVector<Access> accesses = analysis.getAccesses(action);
  for (Running &other : running)
    for (const Access &access : accesses)
      for (const Access &used : other.accesses)
        if (access.conflicts(used)) {
          InFlightDiagnostic error = action->emitOpError() << (access.writes ? "writes" : "reads") << " a buffer that the " << describe(other.exchange) << " with ticket "
                                                           << other.exchange.getTicket() << (used.writes ? " still writes" : " still reads");
          error.attachNote(other.exchange.getLoc()) << "started here; wait for it before";
          return error;
        }
  return success();
}

LogicalResult AsynchronousVerifier::verify(Block &block) {
  SmallVector<Running> running;
  for (Operation &op : block) {
    if (auto wait = dyn_cast<WaitOp>(op)) {
      auto *entry = llvm::find_if(running, [&](Running &other) { return other.exchange.getTicket() == wait.getTicket(); });
      if (entry == running.end())
        return wait.emitOpError() << "waits for ticket " << wait.getTicket() << ", which nothing has that runs here";
      running.erase(entry);
      continue;
    }
    if (failed(verifyAction(&op, running)))
      return failure();
    for (Region &region : op.getRegions())
      for (Block &inner : region)
        if (failed(verify(inner)))
          return failure();
    auto exchange = dyn_cast<ExchangeOpInterface>(op);
    if (!exchange || !exchange.isAsynchronous())
      continue;
    if (Operation *&other = tickets[exchange.getTicket()]; other) {
      InFlightDiagnostic error = op.emitOpError() << "has ticket " << exchange.getTicket() << " like another " << describe(other);
      error.attachNote(other->getLoc()) << "which is here";
      return error;
    }
    tickets[exchange.getTicket()] = &op;
    running.push_back({exchange, analysis.getAccesses(&op)});
  }
  for (Running &other : running)
    return other.exchange->emitOpError() << "is never waited for in its block: add step.wait " << other.exchange.getTicket();
  return success();
}

LogicalResult AsynchronousVerifier::run() {
  for (Operation &op : module.getOps())
    if (isa<FunctionOp, ProgramOp>(op) && failed(verify(op.getRegion(0).front())))
      return failure();
  return success();
}

LogicalResult primus::verifyAsynchronous(ModuleOp module) { return AsynchronousVerifier(module).run(); }

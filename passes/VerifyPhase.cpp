//===- VerifyPhase.cpp - Check what a phase promises ------------------------===//

#include "passes/Passes.h"
#include "passes/Pipeline.h"

namespace primus {
#define GEN_PASS_DEF_VERIFYPHASE
#include "passes/Passes.h.inc"
} // namespace primus

using namespace mlir;
using namespace primus;

namespace {

struct VerifyPhase : primus::impl::VerifyPhaseBase<VerifyPhase> {
  using Base::Base;

  void runOnOperation() override {
    markAllAnalysesPreserved();
    std::optional<unsigned> index = findPhase(phase);
    if (!index || !getPhases()[*index].verify) {
      std::string names;
      for (const Phase &other : getPhases())
        if (other.verify)
          names += (names.empty() ? "" : ", ") + other.name.str();
      getOperation().emitError() << "option phase is '" << phase << "'; expected one of " << names;
      return signalPassFailure();
    }
    if (failed(getPhases()[*index].verify(getOperation())))
      signalPassFailure();
  }
};

} // namespace

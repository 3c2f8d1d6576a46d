//===- Place.cpp - From global shapes to local ones ------------------------===//
//
// Where every axis has one rank, local shapes are the global ones and no value needs a collective: nothing changes. The
// pass refuses all else.
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"
#include "passes/verify/PhaseVerifiers.h"

namespace primus {
#define GEN_PASS_DEF_PLACE
#include "passes/Passes.h.inc"
} // namespace primus

using namespace mlir;
using namespace primus;

namespace {

struct Place : primus::impl::PlaceBase<Place> {
  void runOnOperation() override {
    if (failed(verifyPlaced(getOperation())))
      return signalPassFailure();
    markAllAnalysesPreserved();
  }
};

} // namespace

//===- Decompose.cpp - Replace composites by their definitions ------------===//

#include "ir/graph/Decomposition.h"
#include "passes/Passes.h"

namespace primus {
#define GEN_PASS_DEF_DECOMPOSE
#include "passes/Passes.h.inc"
} // namespace primus

namespace {

struct Decompose : primus::impl::DecomposeBase<Decompose> {
  void runOnOperation() override {
    if (mlir::failed(primus::graph::decomposeComposites(getOperation())))
      signalPassFailure();
  }
};

} // namespace

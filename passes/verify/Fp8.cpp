//===- Fp8.cpp - What phase fp8 promises -----------------------------------===//

#include "passes/verify/PhaseVerifiers.h"

using namespace mlir;
using namespace primus;

LogicalResult primus::verifyFp8(ModuleOp module) {
  if (failed(verifyTrain(module)))
    return failure();
  WalkResult result = module.walk([](graph::MatmulOp matmul) {
    if (!matmul.getFp8Attr())
      return WalkResult::advance();
    matmul.emitOpError("still asks for quantised operands: the ops themselves must say their precision");
    return WalkResult::interrupt();
  });
  return failure(result.wasInterrupted());
}

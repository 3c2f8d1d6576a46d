//===- StepDialect.cpp - Registration of the step dialect -----------------===//

#include "ir/step/StepDialect.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"

using namespace mlir;
using namespace primus::step;

#include "ir/step/StepDialect.cpp.inc"

void StepDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "ir/step/StepOps.cpp.inc"
      >();
}

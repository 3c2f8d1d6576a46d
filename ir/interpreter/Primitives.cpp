//===- Primitives.cpp - The table of primitives ---------------------------===//

#include "ir/interpreter/Primitives.h"

using namespace primus::interpreter;

Primitive primus::interpreter::findPrimitive(llvm::StringRef name) {
  static const PrimitiveTable table = [] {
    PrimitiveTable result;
    addElementwisePrimitives(result);
    addShapePrimitives(result);
    addContractionPrimitives(result);
    return result;
  }();
  return table.lookup(name);
}

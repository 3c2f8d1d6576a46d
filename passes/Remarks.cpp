//===- Remarks.cpp - What passes tell people of their choices --------------===//

#include "passes/Remarks.h"

#include "passes/LayerFunction.h"

using namespace mlir;
using namespace primus;

std::string primus::describe(Value value) {
  // A view is called after what it shows.
  while (auto view = value.getDefiningOp<graph::ReshapeOp>())
    value = view.getOperand();
  StringRef name = getValueName(value);
  std::string text = "%" + (name.empty() ? std::string("?") : name.str());
  Operation *op = value.getDefiningOp();
  return op ? text + " (" + op->getName().getStringRef().str() + ")" : text;
}

std::string primus::describe(Operation *op) {
  return op->getNumResults() ? describe(op->getResult(0)) : op->getName().getStringRef().str();
}

/// The text is made only if someone listens.
static void emit(remark::detail::InFlightRemark remark, int64_t bytes, llvm::function_ref<std::string()> text) {
  if (remark)
    remark << remark::detail::Remark::Arg("Reason", text()) << remark::metric("bytes", bytes);
}

static remark::RemarkOpts makeOptions(StringLiteral category, FunctionOpInterface function) {
  return remark::RemarkOpts::name(category).category(category).function(function.getName());
}

void primus::remarkPassed(StringLiteral category, FunctionOpInterface function, Location loc, int64_t bytes,
                          llvm::function_ref<std::string()> text) {
  emit(remark::passed(loc, makeOptions(category, function)), bytes, text);
}

void primus::remarkMissed(StringLiteral category, FunctionOpInterface function, Location loc, int64_t bytes,
                          llvm::function_ref<std::string()> text) {
  emit(remark::missed(loc, makeOptions(category, function)), bytes, text);
}

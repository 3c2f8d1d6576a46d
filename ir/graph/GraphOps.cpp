//===- GraphOps.cpp - Generated definitions of the graph ops --------------===//

#include "ir/graph/Rules.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/IR/OpImplementation.h"

using namespace mlir;

namespace primus::graph {
#include "ir/AsmDirectives.h"

/// `, %w, %b`, `, %w`, `, none, %b` or nothing.
static ParseResult parseWeightAndBias(OpAsmParser &parser, std::optional<OpAsmParser::UnresolvedOperand> &weight,
                                      std::optional<OpAsmParser::UnresolvedOperand> &bias) {
  if (failed(parser.parseOptionalComma()))
    return success();
  if (failed(parser.parseOptionalKeyword("none")) && parser.parseOperand(weight.emplace()))
    return failure();
  if (succeeded(parser.parseOptionalComma()))
    return parser.parseOperand(bias.emplace());
  return success();
}

static void printWeightAndBias(OpAsmPrinter &printer, Operation *, Value weight, Value bias) {
  if (!weight && !bias)
    return;
  printer << ", ";
  if (weight)
    printer << weight;
  else
    printer << "none";
  if (bias)
    printer << ", " << bias;
}
} // namespace primus::graph

using namespace primus::graph;
#define GET_OP_CLASSES
#include "ir/graph/GraphOps.cpp.inc"

Operation *GraphDialect::materializeConstant(OpBuilder &builder, Attribute value, Type type, Location loc) {
  if (auto elements = dyn_cast<ElementsAttr>(value); elements && elements.getType() == type)
    return ConstantOp::create(builder, loc, type, elements);
  return nullptr;
}

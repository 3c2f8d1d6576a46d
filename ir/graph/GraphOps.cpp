//===- GraphOps.cpp - Generated definitions of the graph ops --------------===//

#include "ir/graph/Rules.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/IR/OpImplementation.h"

using namespace mlir;

namespace primus::graph {
#include "ir/AsmDirectives.h"

/// `%x`, `%x, %w`, `%x, %w, %b` or `%x, none, %b`.
static ParseResult parseNormOperands(OpAsmParser &parser, OpAsmParser::UnresolvedOperand &x,
                                     std::optional<OpAsmParser::UnresolvedOperand> &weight,
                                     std::optional<OpAsmParser::UnresolvedOperand> &bias) {
  if (parser.parseOperand(x))
    return failure();
  if (failed(parser.parseOptionalComma()))
    return success();
  if (failed(parser.parseOptionalKeyword("none")) && parser.parseOperand(weight.emplace()))
    return failure();
  if (succeeded(parser.parseOptionalComma()))
    return parser.parseOperand(bias.emplace());
  return success();
}

static void printNormOperands(OpAsmPrinter &printer, Operation *, Value x, Value weight, Value bias) {
  printer << x;
  if (weight)
    printer << ", " << weight;
  else if (bias)
    printer << ", none";
  if (bias)
    printer << ", " << bias;
}

/// `lse`, or `out, lse` where out's type is not q's.
static ParseResult parseAttentionResults(OpAsmParser &parser, Type q, Type &out, Type &lse) {
  if (parser.parseType(lse))
    return failure();
  out = q;
  if (failed(parser.parseOptionalComma()))
    return success();
  out = lse;
  return parser.parseType(lse);
}

static void printAttentionResults(OpAsmPrinter &printer, Operation *, Type q, Type out, Type lse) {
  if (out != q)
    printer << out << ", ";
  printer << lse;
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

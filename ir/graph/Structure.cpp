//===- Structure.cpp - Variables, calls, schedules and fusions ------------===//

#include "ir/graph/GraphBuilder.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace primus::graph;

//===----------------------------------------------------------------------===//
// Variable
//===----------------------------------------------------------------------===//

LogicalResult VariableOp::verify() {
  int64_t rank = getTensorType().getRank();
  if (std::optional<ArrayAttr> dims = getDims(); dims && static_cast<int64_t>(dims->size()) != rank)
    return emitOpError("dims needs one entry per dimension: ") << rank << ", but has " << dims->size();
  return success();
}

//===----------------------------------------------------------------------===//
// Load and store
//===----------------------------------------------------------------------===//

/// `variable` names a graph.variable of `type`'s shape and element type.
static LogicalResult verifyVariable(Operation *op, FlatSymbolRefAttr variable, Type type,
                                    SymbolTableCollection &symbols) {
  auto definition = symbols.lookupNearestSymbolFrom<VariableOp>(op, variable);
  if (!definition)
    return op->emitOpError() << variable << " is not a graph.variable of this module";
  if (definition.getType() != type) {
    InFlightDiagnostic error = op->emitOpError() << "variable " << variable << " has type " << definition.getType()
                                                 << ", but is used as " << type;
    error.attachNote(definition.getLoc()) << "declared here";
    return error;
  }
  return success();
}

LogicalResult LoadOp::verifySymbolUses(SymbolTableCollection &symbols) {
  return verifyVariable(*this, getVariableAttr(), getResult().getType(), symbols);
}

LogicalResult StoreOp::verifySymbolUses(SymbolTableCollection &symbols) {
  return verifyVariable(*this, getVariableAttr(), getValue().getType(), symbols);
}

//===----------------------------------------------------------------------===//
// Call
//===----------------------------------------------------------------------===//

LogicalResult CallOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto callee = symbols.lookupNearestSymbolFrom<func::FuncOp>(*this, getCalleeAttr());
  if (!callee)
    return emitOpError() << getCalleeAttr() << " is not a func.func of this module";
  FunctionType type = callee.getFunctionType();
  auto mismatch = [&](const Twine &what) {
    InFlightDiagnostic error = emitOpError() << what << " " << getCalleeAttr() << ", whose type is " << type;
    error.attachNote(callee.getLoc()) << "declared here";
    return error;
  };
  if (type.getNumInputs() != getOperands().size() || type.getNumResults() != getNumResults())
    return mismatch("has " + Twine(getOperands().size()) + " operands and " + Twine(getNumResults()) +
                    " results, unlike");
  for (auto [i, operand, expected] : llvm::enumerate(getOperandTypes(), type.getInputs()))
    if (operand != expected)
      return mismatch("operand " + Twine(i) + " differs from that of") << "; it is " << operand;
  for (auto [i, result, expected] : llvm::enumerate(getResultTypes(), type.getResults()))
    if (result != expected)
      return mismatch("result " + Twine(i) + " differs from that of") << "; it is " << result;
  return success();
}

//===----------------------------------------------------------------------===//
// Regions of schedule and fusion
//===----------------------------------------------------------------------===//

/// `(%a = %x, ...) : (types) -> types attributes {...} { body }`. `argumentType` gives the type of a block argument
/// from its operand's.
static ParseResult parseBody(OpAsmParser &parser, OperationState &result,
                             function_ref<FailureOr<Type>(SMLoc, Type)> argumentType) {
  SmallVector<OpAsmParser::Argument> arguments;
  SmallVector<OpAsmParser::UnresolvedOperand> operands;
  FunctionType type;
  SMLoc loc = parser.getCurrentLocation();
  auto parseAssignment = [&]() {
    return failure(parser.parseArgument(arguments.emplace_back()) || parser.parseEqual() ||
                   parser.parseOperand(operands.emplace_back()));
  };
  if (parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Paren, parseAssignment) || parser.parseColon() ||
      parser.parseType(type) || parser.parseOptionalAttrDictWithKeyword(result.attributes) ||
      parser.resolveOperands(operands, type.getInputs(), loc, result.operands))
    return failure();
  for (auto [argument, operand] : llvm::zip_equal(arguments, type.getInputs())) {
    FailureOr<Type> inner = argumentType(argument.ssaName.location, operand);
    if (failed(inner))
      return failure();
    argument.type = *inner;
  }
  result.addTypes(type.getResults());
  return parser.parseRegion(*result.addRegion(), arguments);
}

static void printBody(OpAsmPrinter &printer, Operation *op, ArrayRef<StringRef> elided) {
  Region &body = op->getRegion(0);
  printer << " (";
  llvm::interleaveComma(llvm::zip_equal(body.getArguments(), op->getOperands()), printer, [&](auto assignment) {
    auto [argument, operand] = assignment;
    printer << argument << " = " << operand;
  });
  printer << ") : ";
  printer.printFunctionalType(op);
  printer.printOptionalAttrDictWithKeyword(op->getAttrs(), elided);
  printer << ' ';
  printer.printRegion(body, /*printEntryBlockArgs=*/false, /*printBlockTerminators=*/op->getNumResults() > 0);
}

/// What the body yields has the op's result types.
static LogicalResult verifyYield(Operation *op) {
  Operation *yield = op->getRegion(0).front().getTerminator();
  if (yield->getOperandTypes() != op->getResultTypes())
    return yield->emitOpError("yields (") << yield->getOperandTypes() << "), but the results of " << op->getName()
                                          << " are (" << op->getResultTypes() << ")";
  return success();
}

//===----------------------------------------------------------------------===//
// Schedule
//===----------------------------------------------------------------------===//

RankedTensorType ScheduleOp::getMicrobatchType(RankedTensorType type) {
  Attribute encoding = type.getEncoding();
  if (auto layout = dyn_cast_if_present<LayoutAttr>(encoding))
    encoding = LayoutAttr::get(type.getContext(), layout.getMesh(), layout.getAxes().drop_front(),
                               layout.getPartialAxes(), layout.getPartialKinds());
  return RankedTensorType::get(type.getShape().drop_front(), type.getElementType(), encoding);
}

ParseResult ScheduleOp::parse(OpAsmParser &parser, OperationState &result) {
  IntegerAttr count;
  if (parser.parseKeyword("microbatches") || parser.parseAttribute(count, parser.getBuilder().getI64Type()))
    return failure();
  result.getOrAddProperties<Properties>().microbatches = count;
  auto slice = [&](SMLoc loc, Type type) -> FailureOr<Type> {
    auto tensor = dyn_cast<RankedTensorType>(type);
    if (!tensor || tensor.getRank() == 0)
      return parser.emitError(loc, "a schedule's input needs a leading dimension, but is ") << type;
    return Type(getMicrobatchType(tensor));
  };
  if (parseBody(parser, result, slice))
    return failure();
  ensureTerminator(*result.regions.front(), parser.getBuilder(), result.location);
  return success();
}

void ScheduleOp::print(OpAsmPrinter &printer) {
  printer << " microbatches " << getMicrobatches();
  printBody(printer, *this, {getMicrobatchesAttrName()});
}

LogicalResult ScheduleOp::verify() {
  int64_t count = getMicrobatches();
  if (count < 1)
    return emitOpError("needs at least one microbatch, but has ") << count;
  if (getBody().getNumArguments() != getInputs().size())
    return emitOpError("body must have one argument per input: ")
           << getInputs().size() << ", but has " << getBody().getNumArguments();
  for (auto [i, input, argument] : llvm::enumerate(getInputs(), getBody().getArguments())) {
    RankedTensorType type = getTensorType(input);
    if (type.getRank() < 1 || type.getDimSize(0) != count)
      return emitOpError("input ") << i << " must have " << count << " microbatches as its leading dimension, but is "
                                   << type;
    if (argument.getType() != getMicrobatchType(type))
      return emitOpError("body argument ") << i << " must be " << getMicrobatchType(type) << ", but is "
                                           << argument.getType();
  }
  return verifyYield(*this);
}

LogicalResult MicrobatchOp::verify() {
  RankedTensorType type = getTensorType(getOperand());
  if (type.getRank() < 1 || getIndex() >= static_cast<uint64_t>(type.getDimSize(0)))
    return emitOpError("microbatch ") << getIndex() << " is not one of " << type;
  if (getType() != ScheduleOp::getMicrobatchType(type))
    return emitOpError("must give ") << ScheduleOp::getMicrobatchType(type) << ", but gives " << getType();
  return success();
}

//===----------------------------------------------------------------------===//
// Fusion
//===----------------------------------------------------------------------===//

ParseResult FusionOp::parse(OpAsmParser &parser, OperationState &result) {
  StringAttr family;
  if (parser.parseAttribute(family))
    return failure();
  result.getOrAddProperties<Properties>().family = family;
  if (parseBody(parser, result, [](SMLoc, Type type) -> FailureOr<Type> { return type; }))
    return failure();
  ensureTerminator(*result.regions.front(), parser.getBuilder(), result.location);
  return success();
}

void FusionOp::print(OpAsmPrinter &printer) {
  printer << ' ' << getFamilyAttr();
  printBody(printer, *this, {getFamilyAttrName()});
}

LogicalResult FusionOp::verify() {
  if (!llvm::equal(getBody().getArgumentTypes(), getInputs().getTypes()))
    return emitOpError("body arguments (") << getBody().getArgumentTypes() << ") must have the inputs' types ("
                                           << getInputs().getTypes() << ")";
  for (Operation &op : getBody().front())
    if (!isPure(&op))
      return op.emitOpError("has side effects and cannot be part of a fusion");
  return verifyYield(*this);
}

//===- StepOps.cpp - Functions, programs and buffers ----------------------===//

#include "ir/step/StepDialect.h"

#include "ir/FunctionAssembly.h"
#include "ir/kernel/KernelDialect.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/IR/OpImplementation.h"

using namespace mlir;
using namespace primus;
using namespace primus::step;

#define GET_OP_CLASSES
#include "ir/step/StepOps.cpp.inc"

int64_t step::getByteSize(MemRefType type) { return type.getNumElements() * ((type.getElementTypeBitWidth() + 7) / 8); }

//===----------------------------------------------------------------------===//
// Function and program
//===----------------------------------------------------------------------===//

void FunctionOp::build(OpBuilder &builder, OperationState &state, StringRef name, TypeRange arguments, int64_t bytes) {
  auto &properties = state.getOrAddProperties<Properties>();
  properties.sym_name = builder.getStringAttr(name);
  properties.function_type = TypeAttr::get(builder.getFunctionType(arguments, {}));
  properties.scratch = builder.getI64IntegerAttr(bytes);
  addFunctionBody(state, arguments);
}

ParseResult FunctionOp::parse(OpAsmParser &parser, OperationState &result) {
  return parseFunctionLike<FunctionOp>(parser, result, [&](Properties &properties) -> ParseResult {
    return failure(parser.parseKeyword("scratch") ||
                   parser.parseAttribute(properties.scratch, parser.getBuilder().getI64Type()));
  });
}

void FunctionOp::print(OpAsmPrinter &printer) {
  printFunctionLike(printer, *this, {getScratchAttrName()}, [&]() { printer << " scratch " << getScratch(); });
}

LogicalResult FunctionOp::verify() {
  if (static_cast<int64_t>(getScratch()) < 0)
    return emitOpError("scratch must not be negative");
  return verifyFunctionLike<ReturnOp>(*this);
}

void ProgramOp::build(OpBuilder &builder, OperationState &state, StringRef name, TypeRange arguments, int64_t bytes) {
  auto &properties = state.getOrAddProperties<Properties>();
  properties.sym_name = builder.getStringAttr(name);
  properties.function_type = TypeAttr::get(builder.getFunctionType(arguments, {}));
  properties.arena = builder.getI64IntegerAttr(bytes);
  addFunctionBody(state, arguments);
}

ParseResult ProgramOp::parse(OpAsmParser &parser, OperationState &result) {
  return parseFunctionLike<ProgramOp>(parser, result, [&](Properties &properties) -> ParseResult {
    return failure(parser.parseKeyword("arena") ||
                   parser.parseAttribute(properties.arena, parser.getBuilder().getI64Type()));
  });
}

void ProgramOp::print(OpAsmPrinter &printer) {
  printFunctionLike(printer, *this, {getArenaAttrName()}, [&]() { printer << " arena " << getArena(); });
}

LogicalResult ProgramOp::verify() {
  if (static_cast<int64_t>(getArena()) < 0)
    return emitOpError("arena must not be negative");
  for (unsigned i = 0; i < getNumArguments(); ++i)
    if (!getArgAttrOfType<StringAttr>(i, "step.name"))
      return emitOpError("argument ") << i << " has no step.name, by which the runtime finds it";
  return verifyFunctionLike<ReturnOp>(*this);
}

//===----------------------------------------------------------------------===//
// Launch and call
//===----------------------------------------------------------------------===//

/// `operands` have the types of the function `symbol`.
static LogicalResult verifyOperands(Operation *op, FunctionOpInterface function, FlatSymbolRefAttr symbol,
                                    TypeRange operands) {
  if (llvm::equal(function.getArgumentTypes(), operands))
    return success();
  InFlightDiagnostic error = op->emitOpError() << "operands (" << operands << ") must have the types of " << symbol
                                               << "'s arguments (" << function.getArgumentTypes() << ")";
  error.attachNote(function.getLoc()) << "declared here";
  return error;
}

LogicalResult LaunchOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto kernel = symbols.lookupNearestSymbolFrom<kernel::FuncOp>(*this, getKernelAttr());
  if (!kernel)
    return emitOpError() << getKernelAttr() << " is not a kernel.func of this module";
  return verifyOperands(*this, kernel, getKernelAttr(), getOperandTypes());
}

LogicalResult CallOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto function = symbols.lookupNearestSymbolFrom<FunctionOp>(*this, getCalleeAttr());
  if (!function)
    return emitOpError() << getCalleeAttr() << " is not a step.function of this module";
  if (getScratch()) {
    int64_t bytes = getByteSize(cast<MemRefType>(getScratch().getType())), needed = function.getScratch();
    if (bytes < needed)
      return emitOpError("scratch of ") << bytes << " bytes is too small: " << getCalleeAttr() << " needs " << needed;
  }
  return verifyOperands(*this, function, getCalleeAttr(), getArguments().getTypes());
}

LogicalResult LoopOp::verify() {
  if (static_cast<int64_t>(getCount()) < 1)
    return emitOpError("count must be at least 1, but is ") << static_cast<int64_t>(getCount());
  return success();
}

//===----------------------------------------------------------------------===//
// Buffers and views
//===----------------------------------------------------------------------===//

LogicalResult BufferOp::verify() {
  if (!cast<MemRefType>(getResult().getType()).hasStaticShape())
    return emitOpError("must have a static shape, but is ") << getResult().getType();
  if (static_cast<int64_t>(getOffset()) < -1)
    return emitOpError("offset must be -1 (not planned yet) or a position, but is ")
           << static_cast<int64_t>(getOffset());
  return success();
}

LogicalResult MicrobatchOp::verify() {
  auto source = cast<MemRefType>(getSource().getType()), result = cast<MemRefType>(getResult().getType());
  int64_t count = (*this)->getParentOfType<LoopOp>().getCount();
  if (source.getRank() < 1 || source.getDimSize(0) != count)
    return emitOpError("source must have the loop's count ") << count << " as its leading dimension, but is " << source;
  if (result.getShape() != source.getShape().drop_front() || result.getElementType() != source.getElementType())
    return emitOpError("result must be ") << MemRefType::get(source.getShape().drop_front(), source.getElementType())
                                          << ", but is " << result;
  return success();
}

LogicalResult ViewOp::verify() {
  auto source = cast<MemRefType>(getSource().getType()), result = cast<MemRefType>(getResult().getType());
  int64_t offset = getOffset();
  if (offset < 0 || offset + getByteSize(result) > getByteSize(source))
    return emitOpError("bytes [") << offset << ", " << offset + getByteSize(result) << ") lie outside the "
                                  << getByteSize(source) << " bytes of " << source;
  return success();
}

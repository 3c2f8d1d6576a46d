//===- StepOps.cpp - Functions, programs and buffers ----------------------===//

#include "ir/step/StepDialect.h"

#include "ir/FunctionAssembly.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/IR/OpImplementation.h"

using namespace mlir;
using namespace primus;
using namespace primus::step;

#define GET_OP_CLASSES
#include "ir/step/StepOps.cpp.inc"

/// Size of a packed buffer in bytes.
static int64_t countBytes(MemRefType type) { return type.getNumElements() * ((type.getElementTypeBitWidth() + 7) / 8); }

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

LogicalResult FunctionOp::verify() { return verifyFunctionLike<ReturnOp>(*this); }

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

LogicalResult ProgramOp::verify() { return verifyFunctionLike<ReturnOp>(*this); }

//===----------------------------------------------------------------------===//
// Views
//===----------------------------------------------------------------------===//

LogicalResult ViewOp::verify() {
  auto source = cast<MemRefType>(getSource().getType()), result = cast<MemRefType>(getResult().getType());
  int64_t offset = getOffset();
  if (offset < 0 || offset + countBytes(result) > countBytes(source))
    return emitOpError("bytes [") << offset << ", " << offset + countBytes(result) << ") lie outside the "
                                  << countBytes(source) << " bytes of " << source;
  return success();
}

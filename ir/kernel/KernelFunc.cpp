//===- KernelFunc.cpp - Tile programs --------------------------------------===//

#include "ir/FunctionAssembly.h"
#include "ir/kernel/KernelDialect.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernel;

void FuncOp::build(OpBuilder &builder, OperationState &state, StringRef name, TypeRange arguments,
                   ArrayRef<int64_t> grid) {
  auto &properties = state.getOrAddProperties<Properties>();
  properties.sym_name = builder.getStringAttr(name);
  properties.function_type = TypeAttr::get(builder.getFunctionType(arguments, {}));
  properties.grid = builder.getDenseI64ArrayAttr(grid);
  addFunctionBody(state, arguments);
}

ParseResult FuncOp::parse(OpAsmParser &parser, OperationState &result) {
  return parseFunctionLike<FuncOp>(parser, result, [&](Properties &properties) -> ParseResult {
    if (parser.parseKeyword("grid"))
      return failure();
    properties.grid = dyn_cast_if_present<DenseI64ArrayAttr>(DenseI64ArrayAttr::parse(parser, Type()));
    return success(static_cast<bool>(properties.grid));
  });
}

void FuncOp::print(OpAsmPrinter &printer) {
  printFunctionLike(printer, *this, {getGridAttrName()}, [&]() {
    printer << " grid ";
    getGridAttr().print(printer);
  });
}

LogicalResult FuncOp::verify() {
  if (getGrid().empty() || getGrid().size() > 3)
    return emitOpError("grid must have one to three dimensions, but has ") << getGrid().size();
  for (auto [i, size] : llvm::enumerate(getGrid()))
    if (size < 1)
      return emitOpError("grid dimension ") << i << " must be at least 1, but is " << size;
  return verifyFunctionLike<ReturnOp>(*this);
}

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
    if (!properties.grid)
      return failure();
    if (succeeded(parser.parseOptionalKeyword("waves"))) {
      properties.waves = dyn_cast_if_present<DenseI64ArrayAttr>(DenseI64ArrayAttr::parse(parser, Type()));
      return success(static_cast<bool>(properties.waves));
    }
    return success();
  });
}

void FuncOp::print(OpAsmPrinter &printer) {
  printFunctionLike(printer, *this, {getGridAttrName(), getWavesAttrName()}, [&]() {
    printer << " grid ";
    getGridAttr().print(printer);
    if (DenseI64ArrayAttr waves = getWavesAttr()) {
      printer << " waves ";
      waves.print(printer);
    }
  });
}

LogicalResult FuncOp::verify() {
  if (getGrid().empty() || getGrid().size() > 3)
    return emitOpError("grid must have one to three dimensions, but has ") << getGrid().size();
  for (auto [i, size] : llvm::enumerate(getGrid()))
    if (size < 1)
      return emitOpError("grid dimension ") << i << " must be at least 1, but is " << size;
  if (std::optional<ArrayRef<int64_t>> waves = getWaves()) {
    constexpr int64_t most = 16; // A workgroup has at most 1024 lanes.
    bool valid = waves->size() == 2 && llvm::all_of(*waves, [](int64_t n) { return n > 0 && llvm::isPowerOf2_64(n); });
    if (!valid || (*waves)[0] > most || (*waves)[0] * (*waves)[1] > most)
      return emitOpError("waves must be two powers of two whose product is at most ") << most << ", but are [" << *waves
                                                                                     << "]";
  }
  return verifyFunctionLike<ReturnOp>(*this);
}

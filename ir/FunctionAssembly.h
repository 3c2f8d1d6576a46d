//===- FunctionAssembly.h - Assembly of function-like ops --------*- C++ -*-===//

#pragma once

#include "mlir/Interfaces/FunctionImplementation.h"

namespace primus {

/// Parses `@name(%a: type {attributes}, ...)` of a function without results. `parseSpecifics` parses what stands
/// between it and the optional `attributes {...}`, then follows the body.
template <typename OpT>
mlir::ParseResult parseFunctionLike(mlir::OpAsmParser &parser, mlir::OperationState &result,
                                    llvm::function_ref<mlir::ParseResult(typename OpT::Properties &)> parseSpecifics) {
  auto &properties = result.getOrAddProperties<typename OpT::Properties>();
  llvm::SmallVector<mlir::OpAsmParser::Argument> arguments;
  if (parser.parseSymbolName(properties.sym_name) ||
      parser.parseArgumentList(arguments, mlir::OpAsmParser::Delimiter::Paren, /*allowType=*/true,
                               /*allowAttrs=*/true) ||
      parseSpecifics(properties) || parser.parseOptionalAttrDictWithKeyword(result.attributes))
    return mlir::failure();
  llvm::SmallVector<mlir::Type> types;
  llvm::SmallVector<mlir::Attribute> attributes;
  bool hasAttributes = false;
  for (mlir::OpAsmParser::Argument &argument : arguments) {
    types.push_back(argument.type);
    hasAttributes |= argument.attrs && !argument.attrs.empty();
    attributes.push_back(argument.attrs ? argument.attrs : parser.getBuilder().getDictionaryAttr({}));
  }
  properties.function_type = mlir::TypeAttr::get(parser.getBuilder().getFunctionType(types, {}));
  if (hasAttributes)
    properties.arg_attrs = parser.getBuilder().getArrayAttr(attributes);
  return parser.parseRegion(*result.addRegion(), arguments);
}

/// Prints what `parseFunctionLike` parses; `specifics` are the names of the attributes that `printSpecifics` prints.
template <typename OpT>
void printFunctionLike(mlir::OpAsmPrinter &printer, OpT op, llvm::ArrayRef<llvm::StringRef> specifics,
                       llvm::function_ref<void()> printSpecifics) {
  printer << ' ';
  printer.printSymbolName(op.getSymName());
  printer << '(';
  unsigned index = 0;
  llvm::interleaveComma(op.getBody().getArguments(), printer, [&](mlir::BlockArgument argument) {
    mlir::DictionaryAttr attributes = op.getArgAttrDict(index++);
    printer.printRegionArgument(argument, attributes ? attributes.getValue() : llvm::ArrayRef<mlir::NamedAttribute>());
  });
  printer << ')';
  printSpecifics();
  llvm::SmallVector<llvm::StringRef> elided = {op.getSymNameAttrName(), op.getFunctionTypeAttrName(),
                                               op.getArgAttrsAttrName(), op.getResAttrsAttrName()};
  elided.append(specifics.begin(), specifics.end());
  printer.printOptionalAttrDictWithKeyword(op->getAttrs(), elided);
  printer << ' ';
  printer.printRegion(op.getBody(), /*printEntryBlockArgs=*/false, /*printBlockTerminators=*/true);
}

/// Gives `op`, under construction, a body whose block has `arguments`.
inline mlir::Block &addFunctionBody(mlir::OperationState &state, mlir::TypeRange arguments) {
  mlir::Block &block = state.addRegion()->emplaceBlock();
  for (mlir::Type type : arguments)
    block.addArgument(type, state.location);
  return block;
}

/// All arguments are memrefs of static shape, there are no results, and the body's block ends with `ReturnT`.
template <typename ReturnT, typename OpT> mlir::LogicalResult verifyFunctionLike(OpT op) {
  if (op.getFunctionType().getNumResults() != 0)
    return op.emitOpError("must not have results: outputs are arguments");
  for (auto [i, type] : llvm::enumerate(op.getFunctionType().getInputs())) {
    auto memref = llvm::dyn_cast<mlir::MemRefType>(type);
    if (!memref || !memref.hasStaticShape() || !memref.getLayout().isIdentity())
      return op.emitOpError("argument ") << i << " must be a packed memref of static shape, but is " << type;
  }
  if (!llvm::hasSingleElement(op.getBody()) || !op.getBody().front().mightHaveTerminator() ||
      !llvm::isa<ReturnT>(op.getBody().front().back()))
    return op.emitOpError("body must be one block that ends with ") << ReturnT::getOperationName();
  return mlir::success();
}

} // namespace primus

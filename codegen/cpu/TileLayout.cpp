//===- TileLayout.cpp - How a tile lies in vector registers ---------------===//

#include "codegen/cpu/TileLayout.h"

#include "codegen/common/Float8.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace primus::codegen;

Type primus::codegen::getStorageType(Type element) {
  if (element.isBF16())
    return IntegerType::get(element.getContext(), 16);
  if (isFloat8(element))
    return IntegerType::get(element.getContext(), 8);
  if (element.isIndex())
    return IntegerType::get(element.getContext(), 64);
  return element;
}

TileLayout TileLayout::get(RankedTensorType type, int64_t lanes) {
  ArrayRef<int64_t> shape = type.getShape();
  TileLayout layout;
  layout.element = getStorageType(type.getElementType());
  layout.column = shape.size() == 2 && shape[1] == 1 && shape[0] > 1;
  layout.rows = shape.size() == 2 && !layout.column ? shape[0] : 1;
  layout.columns = layout.column ? shape[0] : shape.back();
  layout.width = std::min<int64_t>(lanes, llvm::PowerOf2Ceil(layout.columns));
  layout.chunks = llvm::divideCeil(layout.columns, layout.width);
  return layout;
}

//===- GraphBuilder.cpp - Concise building of graph ops -------------------===//

#include "ir/graph/GraphBuilder.h"

using namespace mlir;
using namespace primus::graph;

RankedTensorType primus::graph::withShape(RankedTensorType type, ArrayRef<int64_t> shape, Type elementType) {
  Attribute encoding = type.getEncoding();
  if (auto layout = dyn_cast_if_present<LayoutAttr>(encoding); layout && shape != type.getShape()) {
    bool trivial = !layout.isPartial() && llvm::all_of(layout.getAxes(), [](ArrayAttr axes) { return axes.empty(); });
    encoding = trivial ? LayoutAttr::getReplicated(type.getContext(), shape.size()) : LayoutAttr();
  }
  return RankedTensorType::get(shape, elementType, encoding);
}

Value GraphBuilder::splat(RankedTensorType type, double value) { return ConstantOp::create(builder, loc, type, value); }

Value GraphBuilder::compare(Predicate predicate, Value a, Value b) {
  RankedTensorType type = getTensorType(a);
  return CompareOp::create(builder, loc, type.clone(builder.getI1Type()), predicate, a, b);
}

Value GraphBuilder::select(Value mask, Value onTrue, Value onFalse) {
  return SelectOp::create(builder, loc, onTrue.getType(), mask, onTrue, onFalse);
}

Value GraphBuilder::convert(Value x, Type elementType) {
  RankedTensorType type = getTensorType(x);
  if (type.getElementType() == elementType)
    return x;
  return ConvertOp::create(builder, loc, type.clone(elementType), x);
}

Value GraphBuilder::iotaLike(Value like, int64_t dim) {
  return IotaOp::create(builder, loc, getTensorType(like).clone(builder.getI32Type()), dim);
}

Value GraphBuilder::broadcast(Value x, ArrayRef<int64_t> shape, ArrayRef<int64_t> dims) {
  RankedTensorType type = getTensorType(x);
  return BroadcastOp::create(builder, loc, withShape(type, shape, type.getElementType()), x, dims);
}

Value GraphBuilder::reshape(Value x, ArrayRef<int64_t> shape) {
  RankedTensorType type = getTensorType(x);
  if (type.getShape() == shape)
    return x;
  return ReshapeOp::create(builder, loc, withShape(type, shape, type.getElementType()), x);
}

Value GraphBuilder::transpose(Value x, ArrayRef<int64_t> perm) {
  RankedTensorType type = getTensorType(x);
  SmallVector<int64_t> shape;
  for (int64_t dim : perm)
    shape.push_back(type.getDimSize(dim));
  return TransposeOp::create(builder, loc, withShape(type, shape, type.getElementType()), x, perm);
}

Value GraphBuilder::slice(Value x, ArrayRef<int64_t> offsets, ArrayRef<int64_t> sizes) {
  RankedTensorType type = getTensorType(x);
  return SliceOp::create(builder, loc, withShape(type, sizes, type.getElementType()), x, offsets);
}

Value GraphBuilder::slice(Value x, int64_t dim, int64_t begin, int64_t size) {
  SmallVector<int64_t> sizes(getTensorType(x).getShape());
  SmallVector<int64_t> offsets(sizes.size(), 0);
  sizes[dim] = size;
  offsets[dim] = begin;
  return slice(x, offsets, sizes);
}

Value GraphBuilder::pad(Value x, ArrayRef<int64_t> low, ArrayRef<int64_t> shape) {
  RankedTensorType type = getTensorType(x);
  if (type.getShape() == shape)
    return x;
  return PadOp::create(builder, loc, withShape(type, shape, type.getElementType()), x, low);
}

Value GraphBuilder::concat(ValueRange inputs, int64_t dim) {
  if (inputs.size() == 1)
    return inputs.front();
  RankedTensorType type = getTensorType(inputs.front());
  SmallVector<int64_t> shape(type.getShape());
  for (Value input : inputs.drop_front())
    shape[dim] += getTensorType(input).getDimSize(dim);
  return ConcatOp::create(builder, loc, withShape(type, shape, type.getElementType()), inputs, dim);
}

Value GraphBuilder::reduce(ReduceKind kind, Value x, ArrayRef<int64_t> dims) {
  RankedTensorType type = getTensorType(x);
  SmallVector<int64_t> shape;
  for (auto [dim, size] : llvm::enumerate(type.getShape()))
    if (!llvm::is_contained(dims, static_cast<int64_t>(dim)))
      shape.push_back(size);
  Type element = type.getElementType();
  if (isa<FloatType>(element) && !element.isF64())
    element = getF32();
  return ReduceOp::create(builder, loc, withShape(type, shape, element), kind, x, dims);
}

/// The shape of a product.
static SmallVector<int64_t> getProductShape(StringRef spec, Value lhs, Value rhs) {
  auto [operandSpecs, resultSpec] = spec.split("->");
  auto [lhsSpec, rhsSpec] = operandSpecs.split(',');
  SmallVector<int64_t> shape;
  for (char letter : resultSpec) {
    size_t dim = lhsSpec.find(letter);
    shape.push_back(dim != StringRef::npos ? getTensorType(lhs).getDimSize(dim)
                                           : getTensorType(rhs).getDimSize(rhsSpec.find(letter)));
  }
  return shape;
}

Value GraphBuilder::matmul(StringRef spec, Value lhs, Value rhs, Type elementType) {
  RankedTensorType type = withShape(getTensorType(lhs), getProductShape(spec, lhs, rhs), elementType);
  return MatmulOp::create(builder, loc, type, spec, lhs, rhs);
}

Value GraphBuilder::amax(Value x, ArrayRef<int64_t> shape) {
  return AmaxOp::create(builder, loc, withShape(getTensorType(x), shape, getF32()), x);
}

Value GraphBuilder::quantize(Value x, Value scale, FloatType elementType) {
  return QuantizeOp::create(builder, loc, getTensorType(x).clone(elementType), x, scale);
}

Value GraphBuilder::scaledMatmul(StringRef spec, Value lhs, Value lhsFactor, Value rhs, Value rhsFactor,
                                 Type elementType) {
  RankedTensorType type = withShape(getTensorType(lhs), getProductShape(spec, lhs, rhs), elementType);
  return ScaledMatmulOp::create(builder, loc, type, spec, lhs, lhsFactor, rhs, rhsFactor);
}

//===- Ranks.cpp - Virtual ranks of the interpreter -----------------------===//

#include "ir/interpreter/Ranks.h"

#include <cmath>

using namespace mlir;
using namespace primus::graph;
using namespace primus::interpreter;

LayoutAttr primus::interpreter::getLayout(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor ? dyn_cast_if_present<LayoutAttr>(tensor.getEncoding()) : LayoutAttr();
}

static SmallVector<StringRef> getNames(ArrayAttr axes) { return llvm::to_vector(axes.getAsValueRange<StringAttr>()); }

//===----------------------------------------------------------------------===//
// Parts of tensors
//===----------------------------------------------------------------------===//

Tensor primus::interpreter::takeBlock(const Tensor &tensor, int64_t dim, int64_t index, int64_t count) {
  SmallVector<int64_t> shape = tensor.shape, strides = getStrides(tensor.shape);
  shape[dim] /= count;
  Tensor block(RankedTensorType::get(shape, tensor.elementType));
  double *out = block.values.data();
  forEachOffset(shape, strides, index * shape[dim] * strides[dim],
                [&](int64_t offset) { *out++ = tensor.values[offset]; });
  return block;
}

Tensor primus::interpreter::concatenate(ArrayRef<const Tensor *> tensors, int64_t dim) {
  SmallVector<int64_t> shape = tensors.front()->shape;
  shape[dim] = 0;
  for (const Tensor *tensor : tensors)
    shape[dim] += tensor->shape[dim];
  Tensor result(RankedTensorType::get(shape, tensors.front()->elementType));
  SmallVector<int64_t> strides = getStrides(shape);
  int64_t position = 0;
  for (const Tensor *tensor : tensors) {
    const double *in = tensor->values.data();
    forEachOffset(tensor->shape, strides, position * strides[dim], [&](int64_t offset) { result.values[offset] = *in++; });
    position += tensor->shape[dim];
  }
  return result;
}

Tensor primus::interpreter::combine(ArrayRef<const Tensor *> tensors, ReduceKind kind) {
  Tensor result = *tensors.front();
  for (const Tensor *tensor : tensors.drop_front())
    for (auto [sum, value] : llvm::zip_equal(result.values, tensor->values))
      sum = kind == ReduceKind::Sum ? sum + value : std::max(sum, value);
  return result;
}

//===----------------------------------------------------------------------===//
// Ranks
//===----------------------------------------------------------------------===//

std::pair<int64_t, int64_t> Ranks::getAxis(StringRef axis) const {
  int64_t stride = 1;
  for (auto [name, size] : llvm::reverse(llvm::zip_equal(mesh.getNames(), mesh.getSizes()))) {
    if (name.getValue() == axis)
      return {size, stride};
    stride *= size;
  }
  llvm_unreachable("the axis was checked to be one of the mesh");
}

int64_t Ranks::getIndex(int64_t rank, ArrayRef<StringRef> axes) const {
  int64_t index = 0;
  for (StringRef axis : axes) {
    auto [size, stride] = getAxis(axis);
    index = index * size + rank / stride % size;
  }
  return index;
}

SmallVector<int64_t> Ranks::getGroup(int64_t rank, ArrayRef<StringRef> axes) const {
  SmallVector<int64_t> group = {rank};
  for (StringRef axis : axes) {
    auto [size, stride] = getAxis(axis);
    SmallVector<int64_t> wider;
    for (int64_t member : group)
      for (int64_t i = 0; i < size; ++i)
        wider.push_back(member + (i - member / stride % size) * stride);
    group = wider;
  }
  return group;
}

RankedTensorType Ranks::getWholeType(RankedTensorType local) const {
  LayoutAttr layout = getLayout(local);
  if (!mesh || !layout)
    return local;
  SmallVector<int64_t> shape(local.getShape());
  for (auto [size, axes] : llvm::zip_equal(shape, layout.getAxes()))
    size *= mesh.getGroupSize(axes).value_or(1);
  return RankedTensorType::get(shape, local.getElementType());
}

LogicalResult Ranks::check(Operation *op, LayoutAttr layout) const {
  auto known = [&](Attribute axis) { return mesh.getSize(cast<StringAttr>(axis).getValue()).has_value(); };
  if (llvm::all_of(layout.getPartialAxes(), known) &&
      llvm::all_of(layout.getAxes(), [&](ArrayAttr axes) { return llvm::all_of(axes, known); }))
    return success();
  return op->emitError() << "the layout " << layout << " names an axis that the mesh " << mesh << " does not have";
}

FailureOr<Tensor> Ranks::slice(Operation *op, const Tensor &whole, LayoutAttr layout, int64_t rank) const {
  Tensor part = whole;
  if (!mesh || !layout)
    return part;
  if (failed(check(op, layout)))
    return failure();
  if (part.shape.size() != layout.getAxes().size())
    return op->emitError() << "a value of type " << whole.getType() << " cannot have the layout " << layout;
  for (auto [dim, axes] : llvm::enumerate(layout.getAxes())) {
    int64_t count = *mesh.getGroupSize(axes);
    if (part.shape[dim] % count != 0)
      return op->emitError() << "dimension " << dim << " of a value of type " << whole.getType()
                             << " cannot be split over " << axes << ", which are " << count << " ranks";
    part = takeBlock(part, dim, getIndex(rank, getNames(axes)), count);
  }
  for (auto [axis, kind] : llvm::zip_equal(layout.getPartialAxes(), layout.getPartialKinds()))
    if (kind == ReduceKind::Sum && getIndex(rank, axis.getValue()) != 0)
      llvm::fill(part.values, 0.0);
  return part;
}

/// Ranks that agree on what is not a number do agree.
static bool areEqual(ArrayRef<double> a, ArrayRef<double> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](double x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); });
}

FailureOr<Tensor> Ranks::join(Operation *op, const Twine &what, ArrayRef<TensorRef> parts, LayoutAttr layout) const {
  if (!mesh)
    return *parts.front();
  if (layout && failed(check(op, layout)))
    return failure();
  // One axis of the mesh after the other is taken away; what is left is the value of the ranks with index 0 in it.
  SmallVector<Tensor> values;
  for (const TensorRef &part : parts)
    values.push_back(*part);
  auto groupsOf = [&](ArrayRef<StringRef> axes, function_ref<LogicalResult(int64_t, ArrayRef<int64_t>)> visit) {
    for (int64_t rank = 0; rank < getCount(); ++rank)
      if (getIndex(rank, axes) == 0 && failed(visit(rank, getGroup(rank, axes))))
        return failure();
    return success();
  };
  auto collect = [&](ArrayRef<int64_t> group) {
    return llvm::map_to_vector(group, [&](int64_t rank) -> const Tensor * { return &values[rank]; });
  };
  llvm::SmallPtrSet<Attribute, 8> used;
  if (layout) {
    for (auto [axis, kind] : llvm::zip_equal(layout.getPartialAxes(), layout.getPartialKinds())) {
      used.insert(axis);
      (void)groupsOf(axis.getValue(), [&](int64_t rank, ArrayRef<int64_t> group) {
        values[rank] = combine(collect(group), kind);
        return success();
      });
    }
    for (auto [dim, axes] : llvm::enumerate(layout.getAxes())) {
      used.insert(axes.begin(), axes.end());
      (void)groupsOf(getNames(axes), [&](int64_t rank, ArrayRef<int64_t> group) {
        values[rank] = concatenate(collect(group), dim);
        return success();
      });
    }
  }
  for (StringAttr axis : mesh.getNames()) {
    if (used.contains(axis))
      continue;
    auto agree = [&](int64_t rank, ArrayRef<int64_t> group) -> LogicalResult {
      for (int64_t other : group)
        if (!areEqual(values[other].values, values[rank].values))
          return op->emitError() << what << " differs between ranks " << rank << " and " << other << " of axis " << axis
                                 << ", along which each should have the same";
      return success();
    };
    if (failed(groupsOf(axis.getValue(), agree)))
      return failure();
  }
  return values.front();
}

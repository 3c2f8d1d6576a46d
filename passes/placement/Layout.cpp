//===- Layout.cpp - Layouts as passes work with them ----------------------===//

#include "passes/placement/Layout.h"

using namespace mlir;
using namespace primus;
using namespace primus::placement;

Layout::Layout(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  dims.resize(tensor.getRank());
  auto layout = dyn_cast_if_present<graph::LayoutAttr>(tensor.getEncoding());
  if (!layout)
    return;
  for (auto [dim, axes] : llvm::zip_equal(dims, layout.getAxes()))
    llvm::append_range(dim, axes.getAsRange<StringAttr>());
  partial.assign(layout.getPartialAxes().begin(), layout.getPartialAxes().end());
  maximum = llvm::is_contained(layout.getPartialKinds(), graph::ReduceKind::Max);
}

bool Layout::isWhole() const {
  return partial.empty() && llvm::all_of(dims, [](const Axes &axes) { return axes.empty(); });
}

bool Layout::splits(StringAttr axis) const {
  return llvm::any_of(dims, [&](const Axes &axes) { return llvm::is_contained(axes, axis); });
}

Layout Layout::reduced() const {
  Layout result = *this;
  result.partial.clear();
  result.maximum = false;
  return result;
}

graph::LayoutAttr Layout::getAttr(MLIRContext *context) const {
  SmallVector<ArrayAttr> axes;
  for (const Axes &dim : dims)
    axes.push_back(ArrayAttr::get(context, SmallVector<Attribute>(dim.begin(), dim.end())));
  SmallVector<graph::ReduceKind> kinds(partial.size(), maximum ? graph::ReduceKind::Max : graph::ReduceKind::Sum);
  return graph::LayoutAttr::get(context, StringAttr::get(context, "mesh"), axes, partial, kinds);
}

RankedTensorType Layout::apply(Type type) const {
  auto tensor = cast<RankedTensorType>(type);
  return RankedTensorType::get(tensor.getShape(), tensor.getElementType(), getAttr(type.getContext()));
}

std::string Layout::describe() const {
  std::string text = "[";
  for (auto [index, axes] : llvm::enumerate(dims))
    text += (index ? ", " : "") + placement::describe(axes);
  text += "]";
  return partial.empty() ? text : text + (maximum ? " largest over " : " partial over ") + placement::describe(partial);
}

int64_t primus::placement::getGroupSize(graph::MeshAttr mesh, ArrayRef<StringAttr> axes) {
  int64_t size = 1;
  for (StringAttr axis : axes)
    size *= mesh.getSize(axis).value_or(1);
  return size;
}

Axes primus::placement::sortAxes(graph::MeshAttr mesh, ArrayRef<StringAttr> axes) {
  Axes sorted;
  for (StringAttr axis : mesh.getNames())
    if (llvm::is_contained(axes, axis))
      sorted.push_back(axis);
  return sorted;
}

size_t primus::placement::countCommonPrefix(ArrayRef<StringAttr> a, ArrayRef<StringAttr> b) {
  size_t count = 0;
  while (count < std::min(a.size(), b.size()) && a[count] == b[count])
    ++count;
  return count;
}

std::string primus::placement::describe(ArrayRef<StringAttr> axes) {
  if (axes.size() == 1)
    return axes.front().str();
  std::string text;
  for (StringAttr axis : axes)
    text += (text.empty() ? "" : ", ") + axis.str();
  return "(" + text + ")";
}

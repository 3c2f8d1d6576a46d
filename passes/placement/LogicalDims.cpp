//===- LogicalDims.cpp - From what a dimension is to mesh axes ------------===//

#include "passes/placement/LogicalDims.h"

#include "passes/stages/StageMap.h"

using namespace mlir;
using namespace primus;
using namespace primus::placement;

LogicalResult LogicalDims::verify(ModuleOp module) const {
  static constexpr StringLiteral placed[] = {"dp", "fsdp", "ep", "cp", "tp"};
  for (auto [axis, size] : llvm::zip_equal(mesh.getNames(), mesh.getSizes()))
    if (size > 1 && !llvm::is_contained(placed, axis.getValue()) &&
        !(axis.getValue() == "pp" && module->hasAttr(stages::kPipelineAttr)))
      return module.emitError() << "mesh axis " << axis << " has " << size
                                << " ranks, but nothing is split over it: set its size to 1, or use one of "
                                << llvm::join(ArrayRef<StringLiteral>(placed), ", ");
  return success();
}

Axes LogicalDims::getAllAxes() const {
  Axes axes;
  for (auto [name, size] : llvm::zip_equal(mesh.getNames(), mesh.getSizes()))
    if (size > 1 && name.getValue() != "pp")
      axes.push_back(name);
  return axes;
}

Layout LogicalDims::getMaximum(int64_t rank) const {
  Layout layout(rank);
  layout.partial = getAllAxes();
  layout.maximum = !layout.partial.empty();
  return layout;
}

Axes LogicalDims::getAxes(ArrayRef<StringRef> names) const {
  Axes axes;
  for (StringRef name : names)
    if (mesh.getSize(name).value_or(1) > 1)
      axes.push_back(StringAttr::get(mesh.getContext(), name));
  return axes;
}

std::optional<Axes> LogicalDims::findAxes(StringRef dim) const {
  if (dim.empty())
    return Axes();
  if (dim == "batch")
    return getAxes({"dp", "fsdp", "ep"});
  if (dim == "sequence" || (dim == "stream" && !plan.sequenceParallel))
    return getAxes({"cp"});
  if (dim == "stream")
    return getAxes({"cp", "tp"});
  if (dim == "heads" || dim == "ffn" || dim == "vocabulary")
    return getAxes({"tp"});
  return std::nullopt;
}

FailureOr<Layout> LogicalDims::getLayout(ArrayAttr dims, RankedTensorType type,
                                         function_ref<InFlightDiagnostic()> emitError) const {
  Layout layout(type.getRank());
  if (!dims)
    return layout;
  if (static_cast<int64_t>(dims.size()) != type.getRank()) {
    emitError() << "names " << dims.size() << " dimensions (" << dims << ") of a tensor that has " << type.getRank();
    return failure();
  }
  for (auto [index, attribute] : llvm::enumerate(dims)) {
    auto name = dyn_cast<StringAttr>(attribute);
    std::optional<Axes> axes = name ? findAxes(name) : std::nullopt;
    if (!axes) {
      emitError() << "calls dimension " << index << " " << attribute
                  << ", which is none of batch, sequence, stream, heads, ffn, vocabulary and the empty name";
      return failure();
    }
    int64_t ranks = getGroupSize(mesh, *axes);
    if (type.getDimSize(index) % ranks != 0) {
      emitError() << "dimension " << index << " (" << name.getValue() << ") of " << type.getDimSize(index)
                  << " does not divide by " << ranks << ", the ranks of " << placement::describe(*axes);
      return failure();
    }
    layout.dims[index] = *axes;
  }
  return layout;
}

Layout LogicalDims::shareState(const Layout &layout, ArrayRef<int64_t> shape) const {
  // Candidates in the order of preference among equal shares: with one axis more each time, all along one dimension
  // before along several, first dimensions first.
  SmallVector<Layout> candidates = {layout};
  for (StringAttr axis : getStateAxes())
    for (size_t index = 0, end = candidates.size(); index < end; ++index)
      for (size_t dim = 0; dim < shape.size(); ++dim) {
        Layout candidate = candidates[index];
        candidate.dims[dim].push_back(axis);
        if (shape[dim] % getGroupSize(mesh, candidate.dims[dim]) == 0)
          candidates.push_back(std::move(candidate));
      }
  auto countRanks = [&](const Layout &candidate) {
    int64_t ranks = 1;
    for (const Axes &axes : candidate.dims)
      ranks *= getGroupSize(mesh, axes);
    return ranks;
  };
  auto countDims = [&](const Layout &candidate) {
    return llvm::count_if(llvm::zip_equal(candidate.dims, layout.dims),
                          [](auto pair) { return std::get<0>(pair) != std::get<1>(pair); });
  };
  const Layout *best = &candidates.front();
  for (const Layout &candidate : candidates)
    if (int64_t more = countRanks(candidate) - countRanks(*best);
        more > 0 || (more == 0 && countDims(candidate) < countDims(*best)))
      best = &candidate;
  return *best;
}

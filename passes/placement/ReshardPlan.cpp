//===- ReshardPlan.cpp - From one layout to another in collectives --------===//

#include "passes/placement/ReshardPlan.h"

using namespace mlir;
using namespace primus;
using namespace primus::placement;

namespace {

class Planner {
public:
  Planner(const Layout &from, const Layout &to, graph::MeshAttr mesh) : now(from), to(to), mesh(mesh) {}

  SmallVector<ReshardStep> run();

private:
  /// The axes that a dimension must lose (at the end of its list), and those that it still has to get.
  ArrayRef<StringAttr> getSurplus(int64_t dim) const {
    return ArrayRef(now.dims[dim]).drop_front(countCommonPrefix(now.dims[dim], to.dims[dim]));
  }
  ArrayRef<StringAttr> getMissing(int64_t dim) const {
    return ArrayRef(to.dims[dim]).drop_front(countCommonPrefix(now.dims[dim], to.dims[dim]));
  }
  bool isPartial(StringAttr axis) const { return llvm::is_contained(now.partial, axis); }

  bool split();
  bool exchange();
  bool gather();
  void allReduce();
  void add(ReshardStep::Kind kind, ArrayRef<StringAttr> axes, int64_t dim = -1, int64_t concatDim = -1) {
    now.maximum &= !now.partial.empty();
    steps.push_back({kind, Axes(axes), dim, concatDim, now});
  }

  Layout now;
  const Layout &to;
  graph::MeshAttr mesh;
  SmallVector<ReshardStep> steps;
};

} // namespace

/// Blocks and scattered sums: a run of axes that are free, or pending, at the front of what a dimension misses.
bool Planner::split() {
  bool changed = false;
  for (int64_t dim = 0, end = now.dims.size(); dim < end; ++dim) {
    while (getSurplus(dim).empty() && !getMissing(dim).empty()) {
      bool pending = isPartial(getMissing(dim).front());
      Axes run(getMissing(dim).take_while(
          [&](StringAttr axis) { return isPartial(axis) == pending && !now.splits(axis); }));
      if (run.empty())
        break;
      llvm::append_range(now.dims[dim], run);
      llvm::erase_if(now.partial, [&](StringAttr axis) { return llvm::is_contained(run, axis); });
      add(pending ? ReshardStep::ReduceScatter : ReshardStep::Block, run, dim);
      changed = true;
    }
  }
  return changed;
}

/// Axes at the end of one dimension's list that another one misses next.
bool Planner::exchange() {
  for (int64_t dim = 0, end = now.dims.size(); dim < end; ++dim) {
    if (!getSurplus(dim).empty())
      continue;
    for (int64_t other = 0; other < end; ++other) {
      ArrayRef<StringAttr> surplus = getSurplus(other), missing = getMissing(dim);
      for (size_t count = std::min(surplus.size(), missing.size()); count > 0; --count) {
        if (surplus.take_back(count) != missing.take_front(count))
          continue;
        Axes moved(missing.take_front(count));
        now.dims[other].pop_back_n(count);
        llvm::append_range(now.dims[dim], moved);
        add(ReshardStep::AllToAll, moved, dim, other);
        return true;
      }
    }
  }
  return false;
}

bool Planner::gather() {
  for (int64_t dim = 0, end = now.dims.size(); dim < end; ++dim) {
    Axes surplus(getSurplus(dim));
    if (surplus.empty())
      continue;
    now.dims[dim].pop_back_n(surplus.size());
    add(ReshardStep::AllGather, surplus, dim);
    return true;
  }
  return false;
}

/// Pending sums that no dimension takes.
void Planner::allReduce() {
  Axes axes;
  for (StringAttr axis : now.partial)
    if (!llvm::is_contained(to.partial, axis) && !to.splits(axis))
      axes.push_back(axis);
  if (axes.empty())
    return;
  llvm::erase_if(now.partial, [&](StringAttr axis) { return llvm::is_contained(axes, axis); });
  add(ReshardStep::AllReduce, axes);
}

SmallVector<ReshardStep> Planner::run() {
  split();
  allReduce();
  while (split() || exchange() || gather())
    ;
  Axes axes;
  for (StringAttr axis : to.partial)
    if (!isPartial(axis))
      axes.push_back(axis);
  if (!axes.empty()) {
    llvm::append_range(now.partial, axes);
    now.partial = sortAxes(mesh, now.partial);
    now.maximum = to.maximum;
    add(ReshardStep::Divide, axes);
  }
  return std::move(steps);
}

SmallVector<ReshardStep> primus::placement::planReshard(const Layout &from, const Layout &to, graph::MeshAttr mesh) {
  return Planner(from, to, mesh).run();
}

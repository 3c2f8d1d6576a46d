//===- Transpose.cpp - Permutations that move the last dimension ----------===//
//
// The family "transpose": one graph.transpose. The operand's last dimension and the one that becomes last are exchanged in square tiles; the others
// are the grid. (A permutation that keeps the last dimension is a copy of rows: see Rows.cpp.)
//
//===----------------------------------------------------------------------===//

#include "passes/kernels/Families.h"
#include "passes/kernels/RowEvaluator.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

namespace {

class TransposeFamily : public KernelFamily {
public:
  StringRef getName() const override { return "transpose"; }
  bool accepts(const Candidate &candidate, std::string &reason) const override {
    reason = "a transpose of the last dimension stays alone";
    return candidate.ops.size() == 1 && isa<graph::TransposeOp>(candidate.ops.front());
  }
  FailureOr<LoweredFusion> lower(graph::FusionOp fusion, OpBuilder &builder, StringRef name,
                                 const kernel::TargetTraits &traits) const override;
};

/// A permutation without dimensions of size one, in which neighbours that stay neighbours are one dimension.
struct Permutation {
  SmallVector<int64_t> source, perm;
  Permutation(ArrayRef<int64_t> shape, ArrayRef<int64_t> perm);
};

} // namespace

Permutation::Permutation(ArrayRef<int64_t> shape, ArrayRef<int64_t> order) {
  // Runs of the result, as [first operand dimension, size].
  SmallVector<std::pair<int64_t, int64_t>> runs;
  int64_t next = -1;
  for (int64_t dim : order) {
    if (shape[dim] == 1)
      continue;
    auto between = shape.slice(std::max<int64_t>(next, 0), std::max<int64_t>(dim - next, 0));
    bool follows = next >= 0 && dim >= next && llvm::all_of(between, [](int64_t size) { return size == 1; });
    if (follows)
      runs.back().second *= shape[dim];
    else
      runs.push_back({dim, shape[dim]});
    next = dim + 1;
  }
  SmallVector<std::pair<int64_t, int64_t>> sorted = runs;
  llvm::sort(sorted);
  for (auto &run : sorted)
    source.push_back(run.second);
  for (auto &run : runs)
    perm.push_back(llvm::find(sorted, run) - sorted.begin());
}

FailureOr<LoweredFusion> TransposeFamily::lower(graph::FusionOp fusion, OpBuilder &moduleBuilder, StringRef name,
                                                const kernel::TargetTraits &traits) const {
  auto op = dyn_cast<graph::TransposeOp>(fusion.getBody().front().front());
  if (!op || !isa<BlockArgument>(op.getOperand()))
    return fusion.emitOpError("of family 'transpose' must hold one graph.transpose of an input");
  Permutation permutation(cast<RankedTensorType>(op.getOperand().getType()).getShape(), op.getPerm());
  SmallVector<int64_t> source = permutation.source, perm = permutation.perm;
  int64_t rank = source.size(), last = rank - 1;
  if (rank < 2 || perm.back() == last)
    return fusion.emitOpError("keeps the last dimension in its place; it belongs to the family 'rows'");

  // Operand dimension `inner` becomes the result's last; the operand's last becomes result dimension `outer`.
  int64_t inner = perm.back(), outer = llvm::find(perm, last) - perm.begin();
  SmallVector<int64_t> result, others;
  int64_t instances = 1;
  for (auto [position, dim] : llvm::enumerate(perm)) {
    result.push_back(source[dim]);
    if (dim != inner && dim != last) {
      others.push_back(position);
      instances *= source[dim];
    }
  }
  int64_t side = traits.lanes;
  TileBuilder builder(moduleBuilder, fusion, name,
                      {instances, static_cast<int64_t>(llvm::divideCeil(source[inner], side)),
                       static_cast<int64_t>(llvm::divideCeil(source[last], side))});
  if (traits.isGpu())
    builder.setWaves(4, 1);
  SmallVector<Value> from(rank), to(rank);
  Value linear = builder.programId(0);
  for (int64_t position : llvm::reverse(others)) {
    // The slowest needs no remainder.
    Value index = position == others.front() ? linear : builder.remIndex(linear, result[position]);
    linear = builder.divIndex(linear, result[position]);
    to[position] = index;
    from[perm[position]] = index;
  }
  from[inner] = to.back() = builder.mulIndex(builder.programId(1), side);
  from[last] = to[outer] = builder.mulIndex(builder.programId(2), side);
  bool inbounds = source[inner] % side == 0 && source[last] % side == 0;
  Value tile = builder.load(builder.input(0, source), from, {inner, last}, {side, side}, inbounds);
  builder.store(builder.transpose(tile), builder.output(0, result), to, {outer, last}, inbounds);
  LoweredFusion lowered;
  lowered.launches.push_back(builder.finish());
  return lowered;
}

const KernelFamily *kernels::getTransposeFamily() {
  static const TransposeFamily family;
  return &family;
}

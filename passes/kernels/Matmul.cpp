//===- Matmul.cpp - Products with an epilogue -----------------------------===//
//
// The family "matmul": one product in the normal form of MatmulProblem.h, any elementwise computation on its result
// (bias, activation, residual, accumulation into a gradient, rounding), applied to the block of accumulators, and the
// largest of what that gives (see MatmulEpilogue.h). An instance computes one block; neighbours share the panel of the
// packed operand. Where operands have factors that change along k, the sums of each block of k are multiplied by them.
//
//===----------------------------------------------------------------------===//

#include "passes/kernels/Elementwise.h"
#include "passes/kernels/Families.h"
#include "passes/kernels/MatmulEpilogue.h"
#include "passes/kernels/RowPass.h"
#include "passes/kernels/TileCost.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

namespace {

class MatmulFamily : public KernelFamily {
public:
  StringRef getName() const override { return "matmul"; }
  bool accepts(const Candidate &candidate, std::string &reason) const override;
  FailureOr<LoweredFusion> lower(graph::FusionOp fusion, OpBuilder &builder, StringRef name,
                                 const kernel::TargetTraits &traits) const override;
};

} // namespace

//===----------------------------------------------------------------------===//
// Legality
//===----------------------------------------------------------------------===//

static std::optional<MatmulProblem> matchProduct(Operation *op) {
  if (auto scaled = dyn_cast<graph::ScaledMatmulOp>(op))
    return MatmulProblem::match(scaled);
  return MatmulProblem::match(cast<graph::MatmulOp>(op));
}

static bool isProduct(Operation *op) { return isa<graph::MatmulOp, graph::ScaledMatmulOp>(op); }

/// The candidate's only product.
static std::optional<MatmulProblem> findProblem(const Candidate &candidate, std::string &reason) {
  auto refuse = [&](StringRef why) {
    reason = why.str();
    return std::nullopt;
  };
  std::optional<MatmulProblem> problem;
  for (Operation *op : candidate.ops)
    if (isProduct(op)) {
      if (problem)
        return refuse("two products");
      problem = matchProduct(op);
      if (!problem)
        return refuse("a product that is not in normal form");
    }
  if (!problem)
    return refuse("no product");
  for (Value operand : {problem->left, problem->right, problem->leftFactor, problem->rightFactor})
    if (operand && llvm::is_contained(candidate.ops, operand.getDefiningOp()))
      return refuse("an operand of the product would have to be computed before all of it");
  return problem;
}

bool MatmulFamily::accepts(const Candidate &candidate, std::string &reason) const {
  std::optional<MatmulProblem> problem = findProblem(candidate, reason);
  return problem && EpiloguePlan::of(candidate, *problem, reason);
}

//===----------------------------------------------------------------------===//
// The kernel
//===----------------------------------------------------------------------===//

/// Rows [rows, depth] of the left operand, from `k` on.
static Value loadLeft(TileBuilder &builder, const MatmulProblem &problem, unsigned input, Value batch, Value row, Value k,
                      ArrayRef<int64_t> tile) {
  bool inbounds = problem.m % tile[0] == 0;
  if (problem.leftColumns)
    return builder.load(builder.input(input, {problem.batch, problem.k, problem.m}), {batch, k, row}, {2, 1}, tile,
                        inbounds);
  return builder.load(builder.input(input, {problem.batch, problem.m, problem.k}), {batch, row, k}, {1, 2}, tile,
                      inbounds);
}

/// Columns [depth, columns] of the right operand, from a panel or, from `k` on, where they lie.
static Value loadRight(TileBuilder &builder, const MatmulProblem &problem, unsigned input, Value batch, Value panel, Value k,
                       ArrayRef<int64_t> tile) {
  Value zero = builder.index(0);
  if (problem.group != 0) {
    int64_t panels = llvm::divideCeilSigned(problem.n, tile[1]);
    int64_t groups = llvm::divideCeilSigned(tile[0], problem.group), width = tile[1] * problem.group;
    return builder.load(builder.input(input, {problem.batch, panels, groups, width}), {batch, panel, zero, zero},
                        {2, 3}, {groups, width}, /*inbounds=*/true);
  }
  Value column = builder.mulIndex(panel, tile[1]);
  bool inbounds = problem.n % tile[1] == 0;
  if (problem.rightColumns)
    return builder.load(builder.input(input, {problem.batch, problem.n, problem.k}), {batch, column, k}, {2, 1},
                        tile, inbounds);
  return builder.load(builder.input(input, {problem.batch, problem.k, problem.n}), {batch, k, column}, {1, 2}, tile,
                      inbounds);
}

/// The sums of each block of k, multiplied by the block's factors; f32 [rows, columns].
static Value addScaledBlocks(TileBuilder &builder, const MatmulProblem &problem, Value batch, Value row, Value panel,
                             ArrayRef<int64_t> tile) {
  auto number = [](Value value) { return cast<BlockArgument>(value).getArgNumber(); };
  int64_t blocks = problem.k / problem.block, rows = tile[0], columns = tile[1];
  Value start = builder.index(0), column = builder.mulIndex(panel, columns);
  Value a = loadLeft(builder, problem, number(problem.left), batch, row, start, {rows, problem.k});
  Value b = loadRight(builder, problem, number(problem.right), batch, panel, start, {problem.k, columns});
  Value left = builder.load(builder.input(number(problem.leftFactor), {problem.batch, problem.m, blocks}),
                            {batch, row, start}, {1, 2}, {rows, blocks}, problem.m % rows == 0);
  // The columns of a tile have one factor, or one each.
  bool isCommon = problem.factorColumns != 1;
  SmallVector<int64_t> shape{problem.batch, problem.n / problem.factorColumns, blocks}, dims{2, 1};
  SmallVector<Value> place{batch, isCommon ? builder.divIndex(column, problem.factorColumns) : column, start};
  if (!problem.rightColumns) {
    std::swap(shape[1], shape[2]);
    std::swap(dims[0], dims[1]);
    std::swap(place[1], place[2]);
  }
  Value right = builder.load(builder.input(number(problem.rightFactor), shape), place, dims, {blocks, isCommon ? 1 : columns},
                             isCommon || problem.n % columns == 0);
  Value zero = builder.constant(getTileType(tile, builder.getF32Type()), 0);
  return builder.dot(a, b, zero, 1, left, right);
}

/// What the cost model asks for; `outputs` are those of the fusion.
static MatmulSize getSize(graph::FusionOp fusion, const MatmulProblem &problem, ArrayRef<Value> outputs) {
  MatmulSize size{problem.batch, problem.m, problem.n, problem.k, getElementTypeOrSelf(problem.left.getType()), 0};
  auto addFull = [&](Value value) {
    if (value != problem.left && value != problem.right && numElements(value) == numElements(problem.result))
      size.epilogueBytes += llvm::divideCeil(getElementTypeOrSelf(value.getType()).getIntOrFloatBitWidth(), 8);
  };
  // Sums of a block and of all are in registers at once, as in long epilogues.
  bool hasTwoSums = problem.block != 0 && problem.block != kPowerBlock;
  if (hasTwoSums)
    size.bytesOfSums = problem.block * size.element.getIntOrFloatBitWidth() / 8;
  size.hasLongEpilogue = hasTwoSums || llvm::any_of(fusion.getBody().getOps(), [](Operation &op) {
    return isElementwise(&op) && !isa<graph::NegOp, graph::AddOp, graph::SubOp, graph::MulOp, graph::MaximumOp, graph::ConvertOp>(op);
  });
  llvm::for_each(outputs, addFull);
  llvm::for_each(fusion.getBody().getArguments(), addFull);
  return size;
}

FailureOr<LoweredFusion> MatmulFamily::lower(graph::FusionOp fusion, OpBuilder &moduleBuilder, StringRef name,
                                             const kernel::TargetTraits &traits) const {
  SmallVector<Operation *> ops = getBodyOps(fusion);
  SmallVector<Value> outputs = getBodyOutputs(fusion);
  std::string reason;
  Candidate candidate{ops, outputs, &traits};
  std::optional<MatmulProblem> found = findProblem(candidate, reason);
  std::optional<EpiloguePlan> plan = found ? EpiloguePlan::of(candidate, *found, reason) : std::nullopt;
  if (!plan)
    return fusion.emitOpError("cannot be computed as a product with an epilogue: ") << reason;
  const MatmulProblem &problem = *found;
  auto left = dyn_cast<BlockArgument>(problem.left), right = dyn_cast<BlockArgument>(problem.right);
  bool packed = problem.group != 0;
  if (packed != traits.packs || !left || !right)
    return fusion.emitOpError("has a product whose right operand ")
           << (packed ? "is packed, which is for CPUs only" : "is not packed; run graph-pack-operands first");

  int64_t rows = packed ? std::min(traits.dotRows, problem.m) : traits.dotRows;
  int64_t columns = packed ? problem.width : traits.dotColumns;
  std::optional<MatmulTile> tile;
  std::optional<TilePrediction> prediction;
  if (traits.gpu) {
    MatmulSize size = getSize(fusion, problem, outputs);
    // The columns of a tile have one factor, or one each.
    size.mostColumns = problem.factorColumns == 1 ? 0 : problem.factorColumns;
    size.exactColumns = plan->block;
    tile = chooseMatmulTile(size, traits);
    prediction = predictMatmul(size, *tile, traits);
    if (!prediction)
      return fusion.emitOpError("has a tile of ") << tile->rows << " x " << tile->columns << " with "
             << tile->waves[0] << " x " << tile->waves[1] << " waves in the hardware's table, which " << traits.name
             << " cannot hold; choose powers of two, of which each wave has 32 or more, or a smaller tile";
    rows = tile->rows;
    columns = tile->columns;
  }
  int64_t panels = llvm::divideCeilSigned(problem.n, columns);
  TileBuilder builder(moduleBuilder, fusion, name, {problem.batch, panels, llvm::divideCeilSigned(problem.m, rows)});
  if (tile) {
    builder.setWaves(tile->waves[0], tile->waves[1]);
    builder.setPrediction(prediction->seconds, prediction->bound);
  }
  Value batch = builder.programId(0), panel = builder.programId(1), block = builder.programId(2);
  Value row = builder.mulIndex(block, rows), column = builder.mulIndex(panel, columns);

  // The contracted dimension in full; a target's dot goes along it.
  Value product;
  if (problem.block != 0) {
    product = addScaledBlocks(builder, problem, batch, row, panel, {rows, columns});
  } else {
    Value a = loadLeft(builder, problem, left.getArgNumber(), batch, row, builder.index(0), {rows, problem.k});
    Value b = loadRight(builder, problem, right.getArgNumber(), batch, panel, builder.index(0), {problem.k, columns});
    Value acc = builder.constant(getTileType({rows, columns}, builder.getF32Type()), 0);
    product = builder.dot(a, b, acc, packed ? problem.group : 1);
  }

  LoweredFusion lowered;
  Epilogue epilogue(builder, problem, *plan, rows, columns);
  epilogue.setBlock({batch, panel, block, row, column}, builder.convert(product, getElementTypeOrSelf(problem.result.getType())));
  epilogue.store(lowered);
  lowered.launches.push_back(builder.finish());
  epilogue.addTotals(fusion, moduleBuilder, name, traits, lowered);

  auto isFactor = [&](unsigned input) {
    Value argument = fusion.getBody().getArgument(input);
    return argument == problem.leftFactor || argument == problem.rightFactor;
  };
  for (auto [output, value] : plan->outputs)
    for (unsigned input = 0; input < fusion.getInputs().size(); ++input)
      if (input != left.getArgNumber() && input != right.getArgNumber() && !isFactor(input) && epilogue.isReadInPlace(input))
        addInplace(lowered, fusion, output, input);
  return lowered;
}

const KernelFamily *kernels::getMatmulFamily() {
  static const MatmulFamily family;
  return &family;
}

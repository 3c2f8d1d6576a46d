//===- AttentionTiles.h - What the kernels of attention share ----*- C++ -*-===//
//
// Blocks of scores, the band of them that the mask lets through, and copies of q, k, v and dout in the orders in which
// dots read them.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "passes/kernels/TileBuilder.h"

#include "llvm/ADT/MapVector.h"

namespace primus::kernels {

/// Which columns of the matrix of scores a row sees: `row + low <= column <= row + high` and `column < count`.
struct Band {
  std::optional<int64_t> low, high;
  int64_t count;
  /// i32 memrefs [1, rows] and [1, columns] of numbers that take the place of rows' and columns' own in the first condition, and the first one
  /// as [rows, 1]; or null.
  Value rowPositions, columnPositions, rowColumn;
};

/// Sizes and attributes of a graph.attention or graph.attention_grad.
struct AttentionProblem {
  int64_t batch, tokens, heads, keys, groups, headSize;
  double scale, softcap;
  bool causal;
  std::optional<int64_t> window;
  /// Where the mask goes by positions: the fusion's inputs that hold those of the queries and of the keys.
  std::optional<unsigned> queryPositions, keyPositions;

  template <typename Op> static AttentionProblem of(Op op) {
    llvm::ArrayRef<int64_t> q = op.getQ().getType().getShape(), k = op.getK().getType().getShape();
    // A window beyond both lengths hides nothing that `causal` shows; keeping it small keeps positions within i32.
    std::optional<int64_t> window = op.getWindow();
    std::optional<unsigned> queryPositions, keyPositions;
    if (op.getQueryPositions() && (op.getCausal() || window)) {
      queryPositions = mlir::cast<mlir::BlockArgument>(op.getQueryPositions()).getArgNumber();
      keyPositions = mlir::cast<mlir::BlockArgument>(op.getKeyPositions()).getArgNumber();
    }
    if (window)
      window = std::min(*window, queryPositions ? mostPosition : std::max(q[1], k[1]));
    return {q[0], q[1], q[2], k[1], k[2], q[3], op.getScale().convertToDouble(), op.getSoftcap().convertToDouble(),
            op.getCausal(), window, queryPositions, keyPositions};
  }

  /// Positions are below it: a sequence is shorter.
  static constexpr int64_t mostPosition = 1 << 30;

  /// Rows are queries and columns keys, or the other way round.
  Band getBand(TileBuilder &builder, bool transposed) const;
};

struct AttentionTiling;

/// A block of scores in registers.
struct Scores {
  /// Logarithms to base 2 are `factor` (which is positive) times these; what the mask hides is so small that its power is zero.
  Value values;
  double factor;
  /// Derivative of the soft cap, or null where there is none.
  Value slope;

  Value getExponents(TileBuilder &builder) const;
};

/// Rounds what matters only as long as it is a number.
Value roundNumbers(TileBuilder &builder, Value tile, Type element);
/// 2^x, where results so small that they are no normal numbers may be zero.
Value computeExp2(TileBuilder &builder, Value x);

/// Turns `products` (rows of q times rows of k), whose first element is at (`row`, `column`), into scores.
Scores computeScores(TileBuilder &builder, const AttentionProblem &problem, const AttentionTiling &tiling, const Band &band, Value products,
                     Value row, Value column);

/// Goes through the blocks of `columns` columns that `rows` rows from `row` on may see; `body` gets a block's first column and the
/// carried values and returns the next ones.
llvm::SmallVector<Value> loopVisible(TileBuilder &builder, const Band &band, Value row, int64_t rows, int64_t columns, mlir::ValueRange carried,
                                     llvm::function_ref<llvm::SmallVector<Value>(Value, mlir::ValueRange)> body);

inline constexpr double log2e = 1.4426950408889634;
/// A maximum below every score: that of a row that has seen none, whose `lse` is then -1e30, as the definition has it.
inline constexpr double lowestScore = -1e30 * log2e;
/// Below that, so that its power is zero in such a row, too, and finite, so that no difference of two is NaN.
inline constexpr double hiddenScore = 4 * lowestScore;

/// Tiles of the kernels.
struct AttentionTiling {
  /// Rows and columns of a block of scores.
  int64_t rows, columns;
  int64_t lanes;
  /// On a GPU operands are read where and as they lie: the order that a dot needs is made on the way into LDS.
  bool direct = false;
  /// On a GPU left operands that stay the same are loaded once, before the loop, while registers last.
  bool hoists = false;
  /// Of a workgroup of a GPU; each has an equal share of the rows.
  int64_t waves = 1;
  /// What dots multiply, and how many elements along the contraction are neighbours in a right operand.
  Type element;
  int64_t group;
  /// The head size cut into tiles: (first column, width).
  llvm::SmallVector<std::pair<int64_t, int64_t>> headTiles;

  /// What one kernel does, for the sizes of its tiles on a GPU.
  struct Work {
    /// All rows of its matrix of scores.
    int64_t rows;
    /// Tiles, as wide as a head: left operands and sums of a block of rows; right operands of a block of scores.
    int64_t left, sums, right;
  };
  /// The first row of an instance, of which `block` is the number among `blocks`. On a GPU those whose rows see most come first, so that
  /// short ones fill the last round of workgroups.
  Value getFirstRow(TileBuilder &builder, const Band &band, Value block, int64_t blocks) const;
  static AttentionTiling get(const AttentionProblem &problem, Type element, const kernel::TargetTraits &traits, const Work &work);

private:
  static AttentionTiling getForGpu(const AttentionProblem &problem, Type element, const Work &work);
};

/// One of q, k, v and dout in one of the orders in which dots read it. Rows are tokens.
struct AttentionSource {
  Operand::Kind kind;
  unsigned index;
  /// [batch, rows, heads, head size] as the graph has it; a copy is [batch, heads, padded rows / group, head size *
  /// group] or, in panels, [batch, heads, panels, head size / group, columns * group].
  mlir::MemRefType type;
  bool copied;
  int64_t group;
  /// Of a row: the head size, on GPUs rounded up.
  int64_t width;

  /// A tile of `height` rows and `width` columns of a head. `row` is a multiple of `height`.
  Value load(TileBuilder &builder, Value batch, Value head, Value row, int64_t column, int64_t height,
             int64_t width) const;
  /// `height` whole rows.
  Value loadRows(TileBuilder &builder, Value batch, Value head, Value row, int64_t height) const {
    return load(builder, batch, head, row, 0, height, width);
  }
  /// The transposed rows of a panel, which starts at row `row`: [head size, columns].
  Value loadPanel(TileBuilder &builder, Value batch, Value head, Value row, int64_t columns) const;
};

/// Adds to a fusion the kernels that copy its inputs into other orders, each at most once.
class AttentionCopies {
public:
  AttentionCopies(graph::FusionOp fusion, mlir::OpBuilder &builder, llvm::StringRef name, const AttentionTiling &tiling,
                  LoweredFusion &lowered)
      : fusion(fusion), builder(builder), name(name), tiling(tiling), lowered(lowered) {}

  /// As a left operand, contracted over the head size.
  AttentionSource getRows(Value operand);
  /// As a right operand, contracted over rows.
  AttentionSource getStack(Value operand);
  /// As a right operand, contracted over the head size.
  AttentionSource getPanels(Value operand);

  LoweredFusion &getLowered() { return lowered; }

  /// Starts the fusion's next kernel.
  TileBuilder startKernel(llvm::ArrayRef<int64_t> grid, int64_t waves = 1) {
    TileBuilder tiles(builder, fusion, kernelName(name, lowered.launches.size()), grid);
    tiles.setWaves(waves, 1);
    return tiles;
  }

private:
  enum class Order { Rows, Pairs, Panels };
  AttentionSource copy(Value operand, Order order);
  void copyRows(TileBuilder &tiles, unsigned input, llvm::ArrayRef<int64_t> shape, Value target);
  void copyPairs(TileBuilder &tiles, unsigned input, llvm::ArrayRef<int64_t> shape, Value target);
  void copyPanels(TileBuilder &tiles, unsigned input, llvm::ArrayRef<int64_t> shape, Value target);

  graph::FusionOp fusion;
  mlir::OpBuilder &builder;
  llvm::StringRef name;
  const AttentionTiling &tiling;
  LoweredFusion &lowered;
  llvm::MapVector<std::pair<unsigned, Order>, AttentionSource> known;
};

/// The only op of that kind, or null.
template <typename Op> Op getOnlyOp(llvm::ArrayRef<mlir::Operation *> ops) {
  auto isWanted = [](mlir::Operation *op) { return llvm::isa<Op>(op); };
  return llvm::count_if(ops, isWanted) == 1 ? llvm::cast<Op>(*llvm::find_if(ops, isWanted)) : Op();
}

/// Number of the fusion's output that yields `value`, if it is yielded.
std::optional<unsigned> findOutput(graph::FusionOp fusion, Value value);

} // namespace primus::kernels

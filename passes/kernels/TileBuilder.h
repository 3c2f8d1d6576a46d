//===- TileBuilder.h - Building tile programs --------------------*- C++ -*-===//
//
// What every kernel family needs: a kernel function whose arguments are made on demand, and short names for the ops on tiles. A "tile" is a
// tensor of rank 1 or 2 or a scalar; element types are taken from the operands, and arithmetic on narrow floats is done in f32.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "passes/kernels/KernelFamily.h"

#include "mlir/IR/Builders.h"

namespace primus::kernels {

using mlir::Type;
using mlir::Value;

class TileBuilder : public mlir::ImplicitLocOpBuilder {
public:
  /// Starts the kernel `name` for `fusion` at `builder`'s insertion point.
  TileBuilder(mlir::OpBuilder &builder, graph::FusionOp fusion, llvm::StringRef name, llvm::ArrayRef<int64_t> grid);

  /// On a GPU, that many waves work on an instance, along rows and along columns of its tiles.
  void setWaves(int64_t alongRows, int64_t alongColumns);

  /// What a cost model says of the kernel: seconds of a launch, and what bounds it. Kept as the attribute `prediction`.
  void setPrediction(double seconds, llvm::StringRef bound);

  /// The kernel's argument for an input, output or temporary of the fusion, seen under `shape`. Asking again gives the same argument.
  Value input(unsigned index, llvm::ArrayRef<int64_t> shape);
  Value output(unsigned index, llvm::ArrayRef<int64_t> shape);
  Value temporary(unsigned index, mlir::MemRefType type);
  /// As above, with another element type of the same size in bytes in all (to move pairs of bf16 as i32).
  Value operand(Operand::Kind kind, unsigned index, mlir::MemRefType type);

  /// Ends the kernel: inputs come before outputs in its signature.
  Launch finish();

  //===--------------------------------------------------------------------===//
  // Indices and loops
  //===--------------------------------------------------------------------===//

  /// An index constant at the top of the kernel; equal constants are one value.
  Value index(int64_t value);
  Value programId(int64_t dim);
  /// Index arithmetic; constants fold.
  Value addIndex(Value a, Value b);
  Value mulIndex(Value a, int64_t b);
  Value divIndex(Value a, int64_t b);
  Value remIndex(Value a, int64_t b);
  Value minIndex(Value a, Value b);

  /// scf.for from `begin` to `end`; `body` gets the index and the carried values and returns the next ones.
  llvm::SmallVector<Value> loop(Value begin, Value end, int64_t step, mlir::ValueRange carried,
                                llvm::function_ref<llvm::SmallVector<Value>(Value, mlir::ValueRange)> body);

  /// The same one by one, but `unroll` bodies come in one iteration, so that what they load is on its way together. `body` is also told
  /// whether it is built for one of those or for the rest, which are different loops.
  llvm::SmallVector<Value>
  unrolledLoop(Value begin, Value end, int64_t unroll, mlir::ValueRange carried,
               llvm::function_ref<llvm::SmallVector<Value>(Value, mlir::ValueRange, bool isRest)> body);

  //===--------------------------------------------------------------------===//
  // Memory
  //===--------------------------------------------------------------------===//

  /// See kernel.load; `inbounds` promises that the tile lies within the buffer.
  Value load(Value memref, mlir::ValueRange indices, llvm::ArrayRef<int64_t> dims, llvm::ArrayRef<int64_t> tile, bool inbounds = false,
             double pad = 0);
  Value loadScalar(Value memref, mlir::ValueRange indices);
  void store(Value tile, Value memref, mlir::ValueRange indices, llvm::ArrayRef<int64_t> dims, bool inbounds = false);

  //===--------------------------------------------------------------------===//
  // Tiles
  //===--------------------------------------------------------------------===//

  /// A constant of `like`'s shape and type: a splat, or a scalar.
  Value constant(Type like, double value);
  Value broadcast(Value value, llvm::ArrayRef<int64_t> shape);
  Value reduce(kernel::ReduceKind kind, Value tile, int64_t dim);
  Value iota(Value base, int64_t dim, llvm::ArrayRef<int64_t> shape);
  /// acc + lhs rhs.
  Value dot(Value lhs, Value rhs, Value acc, int64_t group = 1, Value lhsFactor = {}, Value rhsFactor = {});
  /// Exchanges the two dimensions.
  Value transpose(Value tile);
  /// Changes the element type, as graph.convert does.
  Value convert(Value value, Type element);

  Value add(Value a, Value b);
  Value sub(Value a, Value b);
  Value mul(Value a, Value b);
  Value div(Value a, Value b);
  Value max(Value a, Value b);
  Value min(Value a, Value b);
  Value neg(Value a);
  Value exp(Value a);
  Value log(Value a);
  Value sqrt(Value a);
  Value rsqrt(Value a);
  Value tanh(Value a);
  Value erf(Value a);
  Value compare(graph::Predicate predicate, Value a, Value b);
  Value select(Value condition, Value a, Value b);
  /// a + b or max(a, b).
  Value combine(kernel::ReduceKind kind, Value a, Value b);
  /// The neutral element of `kind`, like `like`.
  Value neutral(kernel::ReduceKind kind, Type like);

  kernel::FuncOp getKernel() { return kernel; }

private:
  /// Applies `build` in f32 where the operands are f16 or bf16.
  Value inF32(mlir::ValueRange operands, llvm::function_ref<Value(mlir::ValueRange)> build);

  graph::FusionOp fusion;
  kernel::FuncOp kernel;
  llvm::SmallVector<Operand> operands;
  llvm::DenseMap<int64_t, Value> indices;
};

/// Shape of a tile; empty for a scalar.
llvm::ArrayRef<int64_t> getTileShape(Value tile);
/// `type` with another element type: a tensor of the same shape, or the element type itself for a scalar.
Type withElement(Type type, Type element);
/// A tile type: the element type itself where the shape is empty.
Type getTileType(llvm::ArrayRef<int64_t> shape, Type element);

/// `name` for the first kernel of a fusion, `name_1` for the second, ...
std::string kernelName(llvm::StringRef name, unsigned index);

/// A range of columns cut into tiles of few sizes: `chunks` tiles of `width` and then one of `tail` (0 = none).
struct Cut {
  int64_t width, chunks, tail;
  /// Tiles are at most `most` wide, multiples of `lanes` or, for short ranges, a power of two. The tail may overrun the range.
  static Cut of(int64_t columns, int64_t most, int64_t lanes);
  /// Tiles are at most `most` wide, and none overruns the range: where tiles of any width are as good (GPUs).
  static Cut exact(int64_t columns, int64_t most) { return {most, columns / most, columns % most}; }
  int64_t covered() const { return width * chunks; }
};

} // namespace primus::kernels

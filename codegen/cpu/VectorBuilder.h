//===- VectorBuilder.h - Building blocks on vector registers -----*- C++ -*-===//

#pragma once

#include "codegen/cpu/CpuTarget.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace primus::codegen {

/// Builds operations on scalars and one-dimensional vectors: constants, permutations, conversions and memory accesses through
/// raw pointers.
class VectorBuilder : public mlir::ImplicitLocOpBuilder {
public:
  VectorBuilder(mlir::Location location, mlir::OpBuilder builder, const CpuTarget &target)
      : ImplicitLocOpBuilder(location, builder), target(target) {}

  const CpuTarget &target;

  mlir::Value i64(int64_t value);
  /// A constant of a scalar or vector type; `number` in every lane.
  mlir::Value constant(mlir::Type type, double number);
  mlir::Value constantInt(mlir::Type type, int64_t number);
  /// 0, 1, 2, ... as i32.
  mlir::Value laneNumbers(int64_t width, int64_t first = 0);
  mlir::Value poison(mlir::Type type);

  mlir::Value splat(mlir::Value scalar, int64_t width);
  mlir::Value shuffle(mlir::Value a, mlir::Value b, llvm::ArrayRef<int32_t> mask);
  mlir::Value shuffle(mlir::Value a, llvm::ArrayRef<int32_t> mask) { return shuffle(a, a, mask); }
  /// Lanes [first, first + width); lanes beyond the source's are poison.
  mlir::Value slice(mlir::Value vector, int64_t first, int64_t width);
  mlir::Value splatLane(mlir::Value vector, int64_t lane, int64_t width);
  mlir::Value extract(mlir::Value vector, int64_t lane);
  /// One vector of the vectors' lanes, in order.
  mlir::Value concat(llvm::ArrayRef<mlir::Value> vectors);
  /// The same bits under another type.
  mlir::Value bitcast(mlir::Value value, mlir::Type type);

  /// `columns` vectors of `rows.size()` lanes rounded up to a power of two: vector i holds lane i of every row.
  llvm::SmallVector<mlir::Value> transpose(llvm::ArrayRef<mlir::Value> rows);

  using Combine = llvm::function_ref<mlir::Value(mlir::Value, mlir::Value)>;
  /// Combines the elements of a list in a balanced tree.
  mlir::Value combineTree(llvm::ArrayRef<mlir::Value> values, Combine combine);
  /// Combines the lanes of each row: lane i of the result, which has `rows.size()` lanes rounded up to a power of two, belongs to row
  /// i. Each row is combined in the same order, halves with halves, whatever the number of rows.
  mlir::Value combineLanes(llvm::ArrayRef<mlir::Value> rows, Combine combine);

  /// bf16 as bits to f32 and back (nearest even, NaN stays NaN), for scalars and vectors. Where the target's instruction is
  /// used, subnormal numbers become zero.
  mlir::Value bf16ToF32(mlir::Value bits);
  mlir::Value f32ToBf16(mlir::Value value);
  /// f32 whose lower bits are zero to bf16.
  mlir::Value upperHalf(mlir::Value value);
  /// From the storage of a float type of at most 32 bits to f32, and back.
  mlir::Value toF32(mlir::Value stored, mlir::Type element);
  mlir::Value fromF32(mlir::Value value, mlir::Type element);

  /// base + bytes.
  mlir::Value offset(mlir::Value base, mlir::Value bytes);
  mlir::Value offset(mlir::Value base, int64_t bytes);
  /// A scalar or vector of storage type; i1 takes a byte per element. With a mask, lanes that are off read as `pad`.
  mlir::Value load(mlir::Type type, mlir::Value pointer, mlir::Value mask = {}, mlir::Value pad = {});
  void store(mlir::Value value, mlir::Value pointer, mlir::Value mask = {});
  /// Element by element, at a stride in bytes.
  mlir::Value gather(mlir::Type type, mlir::Value pointer, int64_t stride, mlir::Value mask = {}, mlir::Value pad = {});
  void scatter(mlir::Value value, mlir::Value pointer, int64_t stride, mlir::Value mask = {});

  /// A call of an LLVM intrinsic that MLIR has no operation for.
  mlir::Value intrinsic(llvm::StringRef name, mlir::Type result, mlir::ValueRange operands);

private:
  mlir::Value lanePointers(mlir::Value pointer, int64_t stride, int64_t width);
};

/// Bytes of an element in memory.
int64_t getElementBytes(mlir::Type type);

} // namespace primus::codegen

//===- ResidentDot.h - Dots whose left operand is in registers ---*- C++ -*-===//
//
// The products of attention: the left operand is computed, or was loaded before a loop, and lies in registers as every
// tile does, which is how matrix instructions take it (LaneLayout.h). The right operand is a load. All waves of the
// workgroup bring it into LDS together (StagedTile.h), since each of them needs all of it.
//
// Where the load stands in a loop and its position follows from the loop's variable, the next iteration's tile is loaded
// into registers while this one's is multiplied; it waits for nobody but the two barriers around the stores to LDS.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "codegen/hip/KernelLowering.h"
#include "codegen/hip/StagedTile.h"

namespace primus::codegen::hip {

/// Whether a dot is lowered here.
bool isResidentDot(kernel::DotOp dot);
/// Whether a load is the right operand of such dots and nothing else.
bool isStagedLoad(kernel::LoadOp load);

/// A right operand and its place in LDS.
struct KernelLowering::StagedLoad {
  kernel::LoadOp load;
  StagedTile tile;
  int64_t offset;
  /// What a thread's number adds to the addresses that it writes and reads, i32.
  Value writeBase, readBase;
};

/// The right operands of one loop that are loaded an iteration ahead.
class KernelLowering::LoadsAhead {
public:
  /// Finds them. Keeps room in LDS for them, until it is destroyed.
  LoadsAhead(KernelLowering &lowering, mlir::scf::ForOp loop);
  ~LoadsAhead();

  /// Before the loop, whose bounds are given as lowered: the first iteration's tiles, which the loop carries.
  Parts loadFirst(Value begin, Value end);
  /// At the start of the body: `carried` go to LDS. Returns the tiles of the iteration after `current`.
  Parts loadNext(mlir::ValueRange carried, Value current, Value step, Value end);

private:
  bool isKnownAhead(Value index);
  Value isBefore(Value position, Value end);
  Parts loadAt(Value position);

  KernelLowering &lowering;
  mlir::scf::ForOp loop;
  llvm::SmallVector<StagedLoad> loads;
  /// What positions are computed with, in order.
  llvm::SetVector<mlir::Operation *> positions;
  int64_t firstOffset;
};

} // namespace primus::codegen::hip

//===- ConvertLayout.cpp - The same tile in other lanes -------------------===//

#include "codegen/hip/KernelLowering.h"

#include "mlir/Dialect/LLVMIR/ROCDLDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/SmallSet.h"

using namespace mlir;
using namespace primus;
using namespace primus::codegen;
using namespace primus::codegen::hip;

std::optional<Parts> KernelLowering::permuteRegisters(ArrayRef<Value> parts, const LaneLayout &from,
                                                      const LaneLayout &to) {
  if (from.threads != to.threads)
    return std::nullopt;
  SmallVector<Value> elements;
  for (TilePosition position : to.registers) {
    auto found = llvm::find(from.registers, position);
    if (found == from.registers.end())
      return std::nullopt;
    elements.push_back(getElement(parts, from, found - from.registers.begin()));
  }
  return makeParts(elements, to);
}

namespace {

/// How a tile lies in LDS: element (i, j) at i strides[0] + j strides[1], in elements.
struct LdsPlan {
  TilePosition strides;
  int64_t elements;

  int64_t getOffset(TilePosition position) const { return position[0] * strides[0] + position[1] * strides[1]; }
};

} // namespace

/// Elements of a part that lie side by side in LDS, as many as one access of up to 16 bytes moves.
static int64_t getRun(const LaneLayout &layout, const LdsPlan &plan, int64_t bytes) {
  int64_t run = 1;
  auto isWhole = [&](int64_t length) {
    if (length * bytes > 16 || layout.partSize % length != 0)
      return false;
    for (size_t first = 0; first < layout.registers.size(); first += length) {
      int64_t start = plan.getOffset(layout.registers[first]);
      if (start % length != 0)
        return false;
      for (int64_t number = 1; number < length; ++number)
        if (plan.getOffset(layout.registers[first + number]) != start + number)
          return false;
    }
    return llvm::all_of(layout.threads, [&](TilePosition bit) { return plan.getOffset(bit) % length == 0; });
  };
  while (isWhole(2 * run))
    run *= 2;
  return run;
}

/// Clocks that one wave's accesses take: LDS has 32 banks of 4 bytes, each of which gives or takes one word a clock.
/// Lanes that want the same word share it.
static int64_t countClocks(const LaneLayout &layout, const LdsPlan &plan, int64_t bytes) {
  constexpr int64_t banks = 32;
  int64_t run = getRun(layout, plan, bytes), words = std::max<int64_t>(1, run * bytes / 4), clocks = 0;
  // Lanes go in groups whose words fill the banks.
  int64_t group = std::max<int64_t>(1, std::min<int64_t>(kWaveLanes, banks / words));
  for (int64_t first = 0; first < kWaveLanes; first += group) {
    std::array<llvm::SmallSet<int64_t, 8>, banks> wanted;
    for (int64_t lane = first; lane < first + group; ++lane) {
      int64_t start = plan.getOffset(layout.getPosition(lane, 0)) * bytes / 4;
      for (int64_t word = start; word < start + words; ++word)
        wanted[word % banks].insert(word);
    }
    size_t most = 0;
    for (auto &words : wanted)
      most = std::max(most, words.size());
    clocks += most;
  }
  return clocks * (static_cast<int64_t>(layout.registers.size()) / run);
}

/// Rows or columns side by side, with the padding between them that costs least.
static LdsPlan choosePlan(const LaneLayout &from, const LaneLayout &to, int64_t bytes) {
  TilePosition extent = from.getExtent(), toExtent = to.getExtent();
  for (unsigned coordinate = 0; coordinate < 2; ++coordinate)
    extent[coordinate] = std::max(extent[coordinate], toExtent[coordinate]);
  LdsPlan best;
  int64_t least = std::numeric_limits<int64_t>::max();
  for (unsigned fast : {1, 0}) {
    for (int64_t padding : {0, 1, 2, 4, 8, 16}) {
      LdsPlan plan;
      plan.strides[fast] = 1;
      plan.strides[1 - fast] = extent[fast] + padding;
      plan.elements = (extent[fast] + padding) * extent[1 - fast];
      int64_t clocks = countClocks(from, plan, bytes) + countClocks(to, plan, bytes);
      if (clocks < least) {
        least = clocks;
        best = plan;
      }
    }
  }
  return best;
}

Parts KernelLowering::convertLayout(ArrayRef<Value> parts, const LaneLayout &from, const LaneLayout &to) {
  if (std::optional<Parts> permuted = permuteRegisters(parts, from, to))
    return *permuted;
  Type element = cast<VectorType>(parts.front().getType()).getElementType();
  int64_t bytes = getElementBytes(element);
  Type stored = b.getIntegerType(8 * bytes);
  LdsPlan plan = choosePlan(from, to, bytes);
  int64_t region = allocateLds(plan.elements * bytes);
  auto getBase = [&](const LaneLayout &layout) {
    Value sum;
    for (unsigned coordinate = 0; coordinate < 2; ++coordinate)
      for (Value added : {getLaneCoordinate(layout, coordinate), getWaveCoordinate(layout, coordinate)})
        if (added)
          sum = add(sum, mul(added, plan.strides[coordinate] * bytes));
    return sum;
  };
  auto getPointer = [&](Value base, TilePosition position) {
    return getLdsPointer(region + plan.getOffset(position) * bytes, base);
  };

  startLds(region);
  auto write = [&] {
    Value base = getBase(from);
    int64_t run = getRun(from, plan, bytes);
    for (auto [number, part] : llvm::enumerate(parts))
      for (int64_t first = 0; first < from.partSize; first += run) {
        Value piece = slice(part, first, run);
        auto type = VectorType::get(run, stored);
        piece = element.isInteger(1) ? arith::ExtUIOp::create(b, type, piece).getResult()
                                     : arith::BitcastOp::create(b, type, piece).getResult();
        LLVM::StoreOp::create(b, piece, getPointer(base, from.registers[number * from.partSize + first]),
                              /*alignment=*/run * bytes);
      }
  };
  if (Value first = isFirstCopy(from.getCopyBits())) {
    auto conditional = scf::IfOp::create(b, first, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(conditional.thenBlock());
    write();
  } else {
    write();
  }
  ldsBarrier();

  Value base = getBase(to);
  int64_t run = getRun(to, plan, bytes);
  SmallVector<Value> elements;
  for (size_t first = 0; first < to.registers.size(); first += run) {
    auto type = VectorType::get(run, stored);
    Value piece = LLVM::LoadOp::create(b, type, getPointer(base, to.registers[first]), /*alignment=*/run * bytes);
    auto result = VectorType::get(run, element);
    piece = element.isInteger(1) ? arith::TruncIOp::create(b, result, piece).getResult()
                                 : arith::BitcastOp::create(b, result, piece).getResult();
    for (int64_t number = 0; number < run; ++number)
      elements.push_back(extract(piece, number));
  }
  releaseLds(region);
  return makeParts(elements, to);
}

//===- LaneLayout.cpp - Which lane holds which elements of a tile ---------===//

#include "codegen/hip/LaneLayout.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace primus::codegen;

/// Neighbours along a line of `count` elements in one lane, then lanes, then further registers.
static std::optional<LaneLayout> getLine(int64_t count) {
  // More lanes than elements hold copies.
  int64_t neighbours = count % (4 * kWaveLanes) == 0 ? 4 : count % (2 * kWaveLanes) == 0 ? 2 : 1;
  int64_t span = std::min(neighbours * kWaveLanes, count);
  if (count % span != 0 || !llvm::isPowerOf2_64(span))
    return std::nullopt;
  LaneLayout layout;
  int64_t next = neighbours;
  for (TilePosition &bit : layout.lanes) {
    bit = {0, next < count ? next : 0};
    next *= 2;
  }
  for (int64_t first = 0; first < count; first += span)
    for (int64_t offset = 0; offset < neighbours; ++offset)
      layout.registers.push_back({0, first + offset});
  return layout;
}

/// The result of MFMA 32x32, for each block of a tile.
static LaneLayout getMfmaResult(int64_t rows, int64_t columns) {
  LaneLayout layout;
  for (unsigned bit = 0; bit < 5; ++bit)
    layout.lanes[bit] = {0, int64_t(1) << bit};
  layout.lanes[5] = {4, 0};
  for (int64_t row = 0; row < rows; row += 32)
    for (int64_t column = 0; column < columns; column += 32)
      for (int64_t r = 0; r < 16; ++r)
        layout.registers.push_back({row + 8 * (r / 4) + r % 4, column});
  return layout;
}

std::optional<LaneLayout> LaneLayout::get(RankedTensorType type) {
  ArrayRef<int64_t> shape = type.getShape();
  if (shape.size() == 1)
    return getLine(shape[0]);
  if (shape.size() != 2)
    return std::nullopt;
  auto fits = [](int64_t size) { return size == 1 || size % 32 == 0; };
  if (!fits(shape[0]) || !fits(shape[1]) || (shape[0] == 1 && shape[1] == 1))
    return std::nullopt;
  LaneLayout layout = getMfmaResult(std::max<int64_t>(shape[0], 32), std::max<int64_t>(shape[1], 32));
  for (unsigned dim = 0; dim < 2; ++dim)
    if (shape[dim] == 1)
      layout = layout.project(dim);
  return layout;
}

LaneLayout LaneLayout::getMfmaLeft(int64_t depth) {
  LaneLayout layout;
  for (unsigned bit = 0; bit < 5; ++bit)
    layout.lanes[bit] = {int64_t(1) << bit, 0};
  layout.lanes[5] = {0, depth / 2};
  for (int64_t k = 0; k < depth / 2; ++k)
    layout.registers.push_back({0, k});
  return layout;
}

LaneLayout LaneLayout::getMfmaRight(int64_t depth) {
  LaneLayout layout = getMfmaLeft(depth);
  for (TilePosition &position : layout.lanes)
    std::swap(position[0], position[1]);
  for (TilePosition &position : layout.registers)
    std::swap(position[0], position[1]);
  return layout;
}

LaneLayout LaneLayout::project(unsigned dim) const {
  LaneLayout layout = *this;
  layout.registers.clear();
  for (TilePosition &bit : layout.lanes)
    bit[dim] = 0;
  for (TilePosition position : registers) {
    position[dim] = 0;
    if (!llvm::is_contained(layout.registers, position))
      layout.registers.push_back(position);
  }
  return layout;
}

//===- LaneLayout.cpp - Which lane holds which elements of a tile ---------===//

#include "codegen/hip/LaneLayout.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

#include <numeric>

using namespace mlir;
using namespace primus;
using namespace primus::codegen;

KernelShape KernelShape::of(kernel::FuncOp kernel) {
  KernelShape shape;
  if (std::optional<ArrayRef<int64_t>> waves = kernel.getWaves())
    shape.waves = {(*waves)[0], (*waves)[1]};
  // Accesses of 16 bytes for the width that most of a kernel's tiles have.
  int64_t bytes = 0, narrow = 0, wide = 0;
  auto count = [&](Type value) {
    if (auto tile = dyn_cast<RankedTensorType>(value)) {
      unsigned bits = tile.getElementTypeBitWidth();
      ++(bits <= 8 ? bytes : bits <= 16 ? narrow : wide);
    }
  };
  kernel.walk([&](Operation *op) {
    shape.hasDots |= isa<kernel::DotOp>(op);
    if (auto load = dyn_cast<kernel::LoadOp>(op))
      count(load.getType());
    else if (auto store = dyn_cast<kernel::StoreOp>(op))
      count(store.getValue().getType());
  });
  shape.neighbours = narrow + wide == 0 && bytes > 0 ? 16 : bytes + narrow > wide ? 8 : 4;
  return shape;
}

unsigned KernelShape::getThreadBits() const { return llvm::Log2_64(getThreads()); }

/// Gives bits [first, first + count) of the thread's number successive multiples of `step` along a coordinate, while the
/// covered length is below `size`. The others hold copies. Returns the covered length.
static int64_t spread(LaneLayout &layout, unsigned first, unsigned count, unsigned coordinate, int64_t step,
                      int64_t size) {
  for (unsigned bit = first; bit < first + count && step < size; ++bit, step *= 2)
    layout.threads[bit][coordinate] = step;
  return step;
}

/// Multiples of 32 in both coordinates.
static LaneLayout getMfmaResult(int64_t rows, int64_t columns, const KernelShape &kernel) {
  LaneLayout layout;
  layout.threads.resize(kernel.getThreadBits());
  layout.partSize = 16;
  spread(layout, 0, 5, 0, 1, 32);
  layout.threads[5] = {0, 4};
  std::array<int64_t, 2> share{rows, columns};
  // The wave's number: columns are its lower bits.
  unsigned bit = kWaveBits;
  for (unsigned coordinate : {1u, 0u}) {
    int64_t waves = std::gcd(share[coordinate] / 32, kernel.waves[coordinate]), whole = share[coordinate];
    share[coordinate] /= waves;
    unsigned count = llvm::Log2_64(kernel.waves[coordinate]);
    spread(layout, bit, count, coordinate, share[coordinate], whole);
    bit += count;
  }
  for (int64_t row = 0; row < share[0]; row += 32)
    for (int64_t column = 0; column < share[1]; column += 32)
      for (int64_t r = 0; r < 16; ++r)
        layout.registers.push_back({row, column + 8 * (r / 4) + r % 4});
  return layout;
}

static LaneLayout getBlocked(std::array<int64_t, 2> size, bool isLine, const KernelShape &kernel) {
  LaneLayout layout;
  layout.threads.resize(kernel.getThreadBits());
  // Along the only column of a tile, rows are neighbours.
  unsigned fast = size[1] == 1 ? 0 : 1, slow = 1 - fast;
  std::array<unsigned, 2> waveBits{static_cast<unsigned>(llvm::Log2_64(kernel.waves[0])),
                                   static_cast<unsigned>(llvm::Log2_64(kernel.waves[1]))};
  if (isLine)
    waveBits = {0, waveBits[0] + waveBits[1]};
  std::array<unsigned, 2> firstWaveBit{static_cast<unsigned>(kWaveBits) + waveBits[1],
                                       static_cast<unsigned>(kWaveBits)};

  // As many neighbours as end where the tile ends and, in a single line, leave no lane without an element.
  int64_t neighbours = kernel.neighbours, lanes = size[slow] > 1 ? 1 : kWaveLanes << waveBits[fast];
  while (neighbours > 1 && (size[fast] % neighbours != 0 ||
                            neighbours * lanes > static_cast<int64_t>(llvm::PowerOf2Ceil(size[fast]))))
    neighbours /= 2;
  layout.partSize = neighbours;

  std::array<int64_t, 2> covered{1, 1};
  covered[fast] = spread(layout, 0, kWaveBits, fast, neighbours, size[fast]);
  unsigned used = llvm::Log2_64(covered[fast] / neighbours);
  covered[slow] = spread(layout, used, kWaveBits - used, slow, 1, size[slow]);
  for (unsigned coordinate : {fast, slow})
    covered[coordinate] = spread(layout, firstWaveBit[coordinate], waveBits[coordinate], coordinate,
                                 covered[coordinate], size[coordinate]);
  std::array<int64_t, 2> neighbour{0, 0};
  for (int64_t row = 0; row < size[0]; row += covered[0])
    for (int64_t column = 0; column < size[1]; column += covered[1])
      for (neighbour[fast] = 0; neighbour[fast] < neighbours; ++neighbour[fast])
        layout.registers.push_back({row + neighbour[0], column + neighbour[1]});
  return layout;
}

LaneLayout LaneLayout::get(ArrayRef<int64_t> shape, const KernelShape &kernel) {
  if (shape.size() == 1)
    return getBlocked({1, shape[0]}, /*isLine=*/true, kernel);
  auto fits = [](int64_t size) { return size == 1 || size % 32 == 0; };
  if (!kernel.hasDots || !fits(shape[0]) || !fits(shape[1]))
    return getBlocked({shape[0], shape[1]}, /*isLine=*/false, kernel);
  LaneLayout layout = getMfmaResult(std::max<int64_t>(shape[0], 32), std::max<int64_t>(shape[1], 32), kernel);
  for (unsigned coordinate = 0; coordinate < 2; ++coordinate)
    if (shape[coordinate] == 1)
      layout = layout.project(coordinate);
  return layout;
}

LaneLayout LaneLayout::project(unsigned coordinate) const {
  LaneLayout layout = *this;
  layout.registers.clear();
  for (TilePosition &bit : layout.threads)
    bit[coordinate] = 0;
  for (auto [number, held] : llvm::enumerate(registers)) {
    TilePosition position = held;
    position[coordinate] = 0;
    if (!llvm::is_contained(layout.registers, position))
      layout.registers.push_back(position);
    // Parts stay whole, or collapse.
    if (static_cast<int64_t>(number) + 1 == partSize)
      layout.partSize = layout.registers.size();
  }
  return layout;
}

TilePosition LaneLayout::getExtent() const {
  TilePosition extent{0, 0};
  for (TilePosition position : registers)
    for (unsigned coordinate = 0; coordinate < 2; ++coordinate)
      extent[coordinate] = std::max(extent[coordinate], position[coordinate] + 1);
  for (TilePosition bit : threads)
    for (unsigned coordinate = 0; coordinate < 2; ++coordinate)
      extent[coordinate] += bit[coordinate];
  return extent;
}

TilePosition LaneLayout::getPosition(int64_t thread, int64_t number) const {
  TilePosition position = registers[number];
  for (auto [bit, added] : llvm::enumerate(threads))
    if (thread >> bit & 1)
      for (unsigned coordinate = 0; coordinate < 2; ++coordinate)
        position[coordinate] += added[coordinate];
  return position;
}

int64_t LaneLayout::getCopyBits() const {
  int64_t bits = 0;
  for (auto [bit, added] : llvm::enumerate(threads))
    if (added == TilePosition{0, 0})
      bits |= int64_t(1) << bit;
  return bits;
}

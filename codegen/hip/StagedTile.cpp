//===- StagedTile.cpp - Right operands of dots in LDS ---------------------===//

#include "codegen/hip/StagedTile.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

using namespace primus::codegen;
using namespace primus::codegen::hip;

/// What the bits of a thread's number may add, in order of preference, where a run of neighbours in memory is `run` long.
static llvm::SmallVector<TilePosition> getThreadBits(const StagedTile &tile, int64_t run) {
  unsigned along = tile.isTransposed ? 1 : 0;
  std::array<int64_t, 2> size{tile.depth, tile.columns};
  auto step = [&](bool isAlong, int64_t length) {
    TilePosition position{0, 0};
    position[isAlong ? along : 1 - along] = length;
    return position;
  };
  auto halvings = [](int64_t count) { return llvm::countr_zero(static_cast<uint64_t>(count)); };
  llvm::SmallVector<TilePosition> bits, lines;
  for (int bit = 0; bit < halvings(size[along] / run); ++bit)
    bits.push_back(step(true, run << bit));
  // The two groups of rows that share a chunk come first.
  if (tile.isTransposed)
    lines = {step(false, 2 * StagedTile::unit), step(false, StagedTile::unit)};
  for (int bit = tile.isTransposed ? 4 : 0; bit < halvings(size[1 - along]); ++bit)
    lines.push_back(step(false, int64_t(1) << bit));
  // Eight lanes cover a line of 128 bytes in memory; for the next bit to be another line's spreads what 16 lanes store
  // over all banks.
  bits.insert(bits.begin() + std::min<size_t>(3, bits.size()), lines.front());
  bits.append(lines.begin() + 1, lines.end());
  return bits;
}

StagedTile StagedTile::get(llvm::ArrayRef<int64_t> shape, int64_t elementBytes, bool isTransposed,
                           const KernelShape &kernel) {
  StagedTile tile{shape[0], shape[1], elementBytes, isTransposed, {}};
  unsigned along = isTransposed ? 1 : 0, threadBits = kernel.getThreadBits();
  // 16 bytes of memory at a time, or fewer so that all threads have something to do.
  int64_t run = chunkBytes / elementBytes, shortest = isTransposed ? 1 : unit;
  llvm::SmallVector<TilePosition> bits = getThreadBits(tile, run);
  while (bits.size() < threadBits && run > shortest)
    bits = getThreadBits(tile, run /= 2);
  bits.resize(threadBits, TilePosition{0, 0});

  TilePosition covered{0, 0};
  for (TilePosition bit : bits)
    for (unsigned coordinate : {0, 1})
      covered[coordinate] |= bit[coordinate];
  TilePosition stride{isTransposed ? unit : run, isTransposed ? run : 1}, first;
  for (first[0] = 0; first[0] < tile.depth; first[0] += stride[0])
    for (first[1] = 0; first[1] < tile.columns; first[1] += stride[1]) {
      if ((first[0] & covered[0]) != 0 || (first[1] & covered[1]) != 0)
        continue;
      for (int64_t row = 0; row < (isTransposed ? unit : 1); ++row)
        for (int64_t neighbour = 0; neighbour < run; ++neighbour) {
          TilePosition position = first;
          position[along] += neighbour;
          position[1 - along] += row;
          tile.source.registers.push_back(position);
        }
    }
  tile.source.threads = std::move(bits);
  tile.source.partSize = run;
  return tile;
}

StagedTile::Place StagedTile::getPlace(int64_t atDepth, int64_t column) const {
  int64_t group = atDepth / unit, chunk = group, within = 0;
  if (elementBytes == 2) {
    chunk = group / 4 * 2 + group % 2;
    within = group / 2 % 2 * unit * elementBytes;
  }
  within += atDepth % unit * elementBytes;
  int64_t exchanged = getExchanged();
  int64_t key = exchanged == 8 ? column ^ (isTransposed ? column / 8 : 0) : column / 2 ^ (column / 8 & 1);
  Place place;
  place.bytes = column * getColumnBytes() + chunk / exchanged * exchanged * chunkBytes + within;
  place.swizzled = (chunk ^ key) & (exchanged - 1);
  return place;
}

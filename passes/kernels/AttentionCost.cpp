//===- AttentionCost.cpp - What attention costs on a GPU ------------------===//

#include "passes/kernels/AttentionCost.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

using namespace primus;
using namespace primus::kernels;
using kernel::GpuArchitecture;

/// Cycles from a load's issue to its data in registers, and what a block of keys costs a wave that is alone: two
/// barriers, and the first reads of two products.
static constexpr double memoryLatency = 1000, blockLatency = 400;
/// Of LDS's rate, what many waves that read and write at will come to.
static constexpr double sustainedLds = 0.85;
/// Cycles of a vector unit on a score of each lane, beside an exponential: about four instructions. Those on a block's
/// rows: maxima, sums, positions.
static constexpr double scoreCycles = 16, rowCycles = 200;
/// How much of the time of the units that do not bind is not hidden.
static constexpr double exposed = 0.2;
/// Registers of addresses, rows, operands on their way from LDS and temporaries.
static constexpr int64_t otherRegisters = 72;

/// Workgroups that a compute unit holds; 0: a tile that does not fit.
static int64_t getWorkgroups(const AttentionSize &size, const AttentionTile &tile, const GpuArchitecture &gpu) {
  int64_t bytes = size.element.getIntOrFloatBitWidth() / 8, width = llvm::alignTo(size.headSize, 32);
  int64_t rows = AttentionTile::waveRows, lanes = 64, word = 4;
  // Keys and values; what else is exchanged is small.
  constexpr int64_t exchanged = 2048;
  int64_t staged = 2 * tile.columns * width * bytes;
  int64_t sums = rows * width / lanes, queries = rows * width * bytes / lanes / word;
  int64_t scores = rows * tile.columns / lanes, weights = scores * bytes / word;
  int64_t ahead = llvm::divideCeil(staged, lanes * tile.waves * word);
  int64_t registers = llvm::alignTo(sums + queries + scores + weights + ahead + otherRegisters,
                                    GpuArchitecture::registerUnit);
  // Arithmetic reaches only half of the registers, which leaves less of the others to use. Wide blocks of scores are for
  // kernels that stay within.
  bool isWide = tile.columns > AttentionTile::waveRows;
  int64_t most = isWide ? GpuArchitecture::registers / 2 : GpuArchitecture::registers * 3 / 4;
  if (registers > most || (isWide && size.hasPositions))
    return 0;
  int64_t perSimd = registers <= GpuArchitecture::registers / 2 ? 2 : 1;
  int64_t workgroups = std::min(gpu.ldsBytes / staged, perSimd * GpuArchitecture::simds / tile.waves);
  return staged + exchanged <= gpu.ldsBytes ? workgroups : 0;
}

std::optional<TilePrediction> kernels::predictAttention(const AttentionSize &size, const AttentionTile &tile,
                                                        const kernel::TargetTraits &traits) {
  const GpuArchitecture &gpu = *traits.gpu;
  int64_t workgroups = getWorkgroups(size, tile, gpu);
  if (workgroups == 0)
    return std::nullopt;
  double bytes = size.element.getIntOrFloatBitWidth() / 8.0, width = llvm::alignTo(size.headSize, 32);
  double rows = AttentionTile::waveRows, columns = tile.columns, lanes = 64;

  // Cycles of one wave's block of scores on its SIMD, and of one workgroup's on what SIMDs share.
  double matrix = 2 * 2 * rows * columns * width / (double(gpu.getOperations(size.element)) / GpuArchitecture::simds);
  double vector = rows * columns / lanes * (scoreCycles + gpu.transcendentalCycles) + rowCycles;
  double staged = 2 * columns * width * bytes;
  double lds = (tile.waves + 1) * staged / (sustainedLds * GpuArchitecture::ldsBytesPerCycle);
  double cache = staged / GpuArchitecture::cacheBytesPerCycle;
  double alone = std::max(matrix + vector + blockLatency, memoryLatency);

  struct Limit {
    llvm::StringLiteral name;
    double cycles = 0;
  };
  Limit limits[] = {{"matrix"}, {"vector"}, {"lds"}, {"cache"}, {"latency"}};
  double blocks = std::max(size.visible * size.keys / columns, 1.0), cycles = 0;
  auto addRound = [&](double resident, double rounds) {
    double perSimd = std::ceil(resident * tile.waves / GpuArchitecture::simds);
    double units[] = {perSimd * matrix, perSimd * vector, resident * lds, resident * cache};
    double busy = *llvm::max_element(units);
    double others = perSimd * (matrix + vector + blockLatency) + resident * (lds + cache) - busy;
    double block = std::max(busy + exposed * others, alone);
    for (auto [limit, spent] : llvm::zip(limits, units))
      limit.cycles += rounds * blocks * spent;
    // While the first block is loaded and the results are stored.
    limits[4].cycles += rounds * (blocks * (block - busy) + 2 * memoryLatency);
    cycles += rounds * (blocks * block + 2 * memoryLatency);
  };
  int64_t instances = size.batch * size.heads * llvm::divideCeil(size.tokens, tile.getRows());
  int64_t perRound = traits.chip.computeUnits * workgroups, rest = instances % perRound;
  if (instances >= perRound)
    addRound(workgroups, instances / perRound);
  if (rest != 0)
    addRound(llvm::divideCeil(rest, traits.chip.computeUnits), 1);

  // Queries, keys, values and the result once; the caches keep what heads and blocks share.
  double moved = 2.0 * size.batch * size.heads * (size.tokens + size.keys) * size.headSize * bytes;
  double seconds = cycles / traits.chip.clock, memory = moved / traits.chip.memoryBandwidth;
  if (memory >= seconds)
    return TilePrediction{memory, "memory"};
  const Limit &most = *llvm::max_element(limits, [](const Limit &a, const Limit &b) { return a.cycles < b.cycles; });
  return TilePrediction{seconds, most.name};
}

AttentionTile kernels::chooseAttentionTile(const AttentionSize &size, const kernel::TargetTraits &traits) {
  // Of what fits nowhere, and of equal predictions, more waves hold and read less each.
  AttentionTile best{AttentionTile::waveRows, 4};
  double least = std::numeric_limits<double>::infinity();
  int64_t blocks = llvm::PowerOf2Ceil(llvm::divideCeil(size.tokens, AttentionTile::waveRows));
  for (int64_t waves : {4, 2, 1})
    for (int64_t columns : {32, 64}) {
      if (waves > blocks || (columns > AttentionTile::waveRows && size.keys <= AttentionTile::waveRows))
        continue;
      AttentionTile tile{columns, waves};
      std::optional<TilePrediction> prediction = predictAttention(size, tile, traits);
      if (prediction && prediction->seconds < least) {
        least = prediction->seconds;
        best = tile;
      }
    }
  return best;
}

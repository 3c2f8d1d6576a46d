//===- TileCost.cpp - What a product costs on a GPU -----------------------===//

#include "passes/kernels/TileCost.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

using namespace primus;
using namespace primus::kernels;
using kernel::GpuArchitecture;

/// Cycles from a load's issue to its data in registers, from memory and from LDS with a barrier before it; of the order
/// that AMD's documents and microbenchmarks of these chips report.
static constexpr double memoryLatency = 1000, stageLatency = 150;
/// Of LDS's rate, what many waves that read and write at will come to.
static constexpr double sustainedLds = 0.85;
/// How much of the time of the units that do not bind a stage is not hidden.
static constexpr double exposed = 0.05;
/// Registers of addresses, masks and temporaries.
static constexpr int64_t otherRegisters = 72;

namespace {

/// A tile on a compute unit.
struct Occupancy {
  int64_t stageBytes, threads, workgroups;
};

} // namespace

static std::optional<Occupancy> getOccupancy(const MatmulSize &size, const MatmulTile &tile,
                                             const GpuArchitecture &gpu) {
  int64_t bytes = size.element.getIntOrFloatBitWidth() / 8, lines = tile.rows + tile.columns;
  int64_t waves = tile.waves[0] * tile.waves[1], threads = 64 * waves;
  int64_t shareRows = tile.rows / tile.waves[0], shareColumns = tile.columns / tile.waves[1];
  auto isWhole = [](int64_t share) { return share >= 32 && llvm::isPowerOf2_64(share); };
  if (!isWhole(shareRows) || !isWhole(shareColumns) || !llvm::isPowerOf2_64(waves) || waves > 16 ||
      shareRows * tile.waves[0] != tile.rows || shareColumns * tile.waves[1] != tile.columns)
    return std::nullopt;
  int64_t multiplyBytes = gpu.getMultiplyBytes(size.element);
  Occupancy occupancy{kernel::getStageBytes(gpu, {tile.rows, tile.columns}, threads, size.k * bytes, multiplyBytes), threads, 0};
  if (occupancy.stageBytes == 0 || (size.bytesOfSums != 0 && occupancy.stageBytes != size.bytesOfSums))
    return std::nullopt;
  int64_t lds = 2 * lines * occupancy.stageBytes;
  // Sums; two sets of chunks, half of what a multiplication takes, for each block of 32 lines; the next stage.
  int64_t sums = shareRows * shareColumns / 64;
  int64_t vectors = (shareRows + shareColumns) / 32 * 2 * (multiplyBytes / 8) + llvm::divideCeil(lines * occupancy.stageBytes, 4 * threads) +
      otherRegisters;
  int64_t registers = llvm::alignTo((size.bytesOfSums ? 2 : 1) * sums + vectors, GpuArchitecture::registerUnit);
  // Sums are in accumulation registers, of which there are half.
  int64_t half = GpuArchitecture::registers / 2;
  if (sums > (size.hasLongEpilogue ? half / 2 : half) || vectors > half)
    return std::nullopt;
  int64_t wavesPerSimd = std::min(GpuArchitecture::registers / registers, GpuArchitecture::wavesPerSimd);
  occupancy.workgroups = std::min(gpu.ldsBytes / lds, wavesPerSimd * GpuArchitecture::simds / waves);
  return occupancy.workgroups > 0 ? std::optional(occupancy) : std::nullopt;
}

std::optional<TilePrediction> kernels::predictMatmul(const MatmulSize &size, const MatmulTile &tile,
                                                     const kernel::TargetTraits &traits) {
  const GpuArchitecture &gpu = *traits.gpu;
  std::optional<Occupancy> occupancy = getOccupancy(size, tile, gpu);
  if (!occupancy)
    return std::nullopt;
  int64_t bytes = size.element.getIntOrFloatBitWidth() / 8, waves = occupancy->threads / 64;
  int64_t stages = llvm::divideCeil(size.k * bytes, occupancy->stageBytes);
  int64_t instances = size.batch * llvm::divideCeil(size.m, tile.rows) * llvm::divideCeil(size.n, tile.columns);

  // Cycles of one stage of one workgroup on each unit.
  double lineBytes = occupancy->stageBytes, lines = tile.rows + tile.columns;
  double operations = 2.0 * tile.rows * tile.columns * lineBytes / bytes;
  double perSimd = operations / waves / (double(gpu.getOperations(size.element)) / GpuArchitecture::simds);
  double readLines = double(waves) * (double(tile.rows) / tile.waves[0] + double(tile.columns) / tile.waves[1]);
  double lds = (readLines + lines) * lineBytes / (sustainedLds * GpuArchitecture::ldsBytesPerCycle);
  double cache = lines * lineBytes / GpuArchitecture::cacheBytesPerCycle;
  double epilogue = double(tile.rows) * tile.columns * size.epilogueBytes / GpuArchitecture::cacheBytesPerCycle;

  // The barrier at a stage's end is behind the last multiplication, or most of it.
  double hidden = 0.75 * perSimd * gpu.getMultiplyBytes(size.element) / lineBytes;
  double latency = std::max(perSimd + std::max(stageLatency - hidden, 0.0), memoryLatency);

  struct Limit {
    llvm::StringLiteral name;
    double cycles = 0;
  };
  Limit limits[] = {{"matrix"}, {"lds"}, {"cache"}, {"latency"}};
  double cycles = 0;
  auto addRound = [&](double resident, double rounds) {
    // Waves are dealt evenly among SIMDs.
    double matrix = perSimd * std::ceil(resident * waves / GpuArchitecture::simds);
    double units[] = {matrix, resident * lds, resident * cache}, busy = *llvm::max_element(units);
    double stage = std::max(busy, latency), others = matrix + resident * (lds + cache) - busy;
    for (auto [limit, spent] : llvm::zip(limits, units))
      limit.cycles += rounds * stages * spent;
    // While the first stage is loaded and the last results are stored, and in stages too short for their loads.
    limits[3].cycles += rounds * (stages * (stage - busy) + 2 * memoryLatency);
    limits[2].cycles += rounds * resident * epilogue;
    cycles += rounds * (stages * (stage + exposed * others) + 2 * memoryLatency + resident * epilogue);
  };
  int64_t perRound = traits.chip.computeUnits * occupancy->workgroups, rest = instances % perRound;
  if (instances >= perRound)
    addRound(occupancy->workgroups, instances / perRound);
  if (rest != 0)
    addRound(llvm::divideCeil(rest, traits.chip.computeUnits), 1);

  double moved = double(size.batch) * (double(size.m) * size.k + double(size.k) * size.n) * bytes +
      double(size.batch) * size.m * size.n * size.epilogueBytes;
  double seconds = cycles / traits.chip.clock, memory = moved / traits.chip.memoryBandwidth;
  if (memory >= seconds)
    return TilePrediction{memory, "memory"};
  const Limit &most = *llvm::max_element(limits, [](const Limit &a, const Limit &b) { return a.cycles < b.cycles; });
  return TilePrediction{seconds, most.name};
}

MatmulTile kernels::chooseMatmulTile(const MatmulSize &size, const kernel::TargetTraits &traits) {
  auto fits = [](int64_t stated, int64_t actual) { return stated == 0 || stated == actual; };
  for (const kernel::TileOverride &entry : traits.tiles)
    if (fits(entry.m, size.m) && fits(entry.n, size.n) && fits(entry.k, size.k) &&
        fits(entry.bits, size.element.getIntOrFloatBitWidth()) && size.mostColumns % entry.tile[1] == 0 &&
        fits(size.exactColumns, entry.tile[1]))
      return {entry.tile[0], entry.tile[1], entry.waves};

  // The smallest always fits. Of equal predictions the first stays: less is computed for nothing.
  MatmulTile best{32, size.exactColumns == 0 ? 32 : size.exactColumns, {1, 1}};
  double least = std::numeric_limits<double>::infinity();
  for (int64_t rows : {32, 64, 128, 256})
    for (int64_t columns : {32, 64, 128, 256}) {
      if (size.mostColumns % columns != 0 || !fits(size.exactColumns, columns))
        continue;
      for (int64_t along : {1, 2, 4})
        for (int64_t across : {1, 2, 4}) {
          MatmulTile tile{rows, columns, {along, across}};
          std::optional<TilePrediction> prediction = predictMatmul(size, tile, traits);
          if (prediction && prediction->seconds < least) {
            least = prediction->seconds;
            best = tile;
          }
        }
    }
  return best;
}

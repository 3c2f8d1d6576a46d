//===- GpuArchitecture.cpp - Compute units of AMD GPUs --------------------===//

#include "ir/kernel/GpuArchitecture.h"

#include "llvm/Support/MathExtras.h"

#include <algorithm>

using namespace primus::kernel;

static constexpr GpuArchitecture architectures[] = {
    {"gfx942", 64 << 10, 2048, 256, 16, 32, true, false, {304, 2.1e9, 5.3e12}},
    {"gfx950", 160 << 10, 4096, 256, 8, 64, false, true, {256, 2.4e9, 8.0e12}},
};

llvm::ArrayRef<GpuArchitecture> GpuArchitecture::getAll() { return architectures; }

const GpuArchitecture *GpuArchitecture::find(llvm::StringRef name) {
  for (const GpuArchitecture &gpu : architectures)
    if (gpu.name == name)
      return &gpu;
  return nullptr;
}

bool GpuArchitecture::multiplies(mlir::Type left, mlir::Type right) const {
  auto isByte = [&](mlir::Type type) {
    return isFnuz ? mlir::isa<mlir::Float8E4M3FNUZType, mlir::Float8E5M2FNUZType>(type)
                  : mlir::isa<mlir::Float8E4M3FNType, mlir::Float8E5M2Type>(type);
  };
  return left == right ? left.isF32() || left.isF16() || left.isBF16() || isByte(left) : isByte(left) && isByte(right);
}

int64_t primus::kernel::getStageBytes(const GpuArchitecture &gpu, std::array<int64_t, 2> lines, int64_t threads,
                                      int64_t lineBytes, int64_t multiplyBytes) {
  // A lane loads 16 bytes; 128 bytes make whole transactions of memory.
  constexpr int64_t perLane = 16, most = 128;
  int64_t least = std::max(multiplyBytes, perLane * threads / std::min(lines[0], lines[1]));
  auto fits = [&](int64_t bytes) { return 2 * (lines[0] + lines[1]) * bytes <= gpu.ldsBytes; };
  if (least > most || !fits(least))
    return 0;
  int64_t bytes = std::clamp<int64_t>(llvm::PowerOf2Ceil(lineBytes), least, most);
  while (!fits(bytes))
    bytes /= 2;
  return bytes;
}

//===- IsaBounds.cpp - What bounds a kernel's main loop -------------------===//

#include "bench/IsaBounds.h"

#include "codegen/hip/Mfma.h"
#include "ir/kernel/GpuArchitecture.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"

using namespace primus;
using namespace primus::bench;
using kernel::GpuArchitecture;
using llvm::StringRef;

LoopBounds::Unit LoopBounds::getBound() const {
  return static_cast<Unit>(llvm::max_element(cycles) - cycles.begin());
}

/// Bytes per lane that a memory instruction moves, by the end of its name: ds_read2_b64, buffer_load_dwordx4.
static double getBytes(StringRef name) {
  // Narrower accesses to LDS occupy a bank as a word does.
  static constexpr std::pair<StringRef, double> sizes[] = {
      {"b128", 16}, {"b96", 12}, {"b64", 8},    {"b32", 4},   {"dwordx4", 16}, {"dwordx3", 12}, {"dwordx2", 8},
      {"dword", 4}, {"short", 2}, {"ushort", 2}, {"ubyte", 1}, {"byte", 1},     {"d16", 2},      {"d16_hi", 2},
  };
  double factor = name.contains("read2") || name.contains("write2") ? 2 : 1;
  for (auto [end, bytes] : sizes)
    if (name.ends_with(end))
      return factor * bytes;
  return factor * 4;
}

static bool isTranscendental(StringRef name) {
  static constexpr StringRef starts[] = {"v_exp_", "v_log_", "v_rcp_", "v_rsq_", "v_sqrt_", "v_sin_", "v_cos_"};
  return llvm::any_of(starts, [&](StringRef start) { return name.starts_with(start); });
}

LoopBounds bench::getInstructionCost(StringRef text, double transcendentalCycles) {
  StringRef name = text.take_while([](char c) { return c != ' ' && c != '\t'; });
  constexpr double lanes = 64, issue = 4;
  LoopBounds bounds;
  bounds.cycles[LoopBounds::Issue] += issue;
  if (name.starts_with("v_mfma")) {
    ++bounds.matrixInstructions;
    // With factors an instruction takes as long as without.
    constexpr llvm::StringLiteral scaled = "v_mfma_scale_";
    std::string plain = name.str();
    if (name.starts_with(scaled))
      plain = "v_mfma_" + name.drop_front(scaled.size()).str();
    for (const codegen::hip::Mfma &mfma : codegen::hip::getMfmas())
      if (mfma.mnemonic == plain) {
        bounds.cycles[LoopBounds::Matrix] += mfma.cycles;
        break;
      }
    bounds.cycles[LoopBounds::Vector] += issue;
  } else if (name.starts_with("v_")) {
    bool isProduct = name.starts_with("v_mul_lo_") || name.starts_with("v_mul_hi_");
    bounds.cycles[LoopBounds::Vector] += isTranscendental(name) ? transcendentalCycles : isProduct ? 4 * issue : issue;
  } else if (name.starts_with("ds_")) {
    bounds.cycles[LoopBounds::Lds] +=
        GpuArchitecture::simds * lanes * std::max(getBytes(name), 4.0) / GpuArchitecture::ldsBytesPerCycle;
  } else if (name.starts_with("buffer_") || name.starts_with("global_")) {
    bounds.cycles[LoopBounds::Global] +=
        GpuArchitecture::simds * lanes * getBytes(name) / GpuArchitecture::cacheBytesPerCycle;
    // Copied without a register between.
    if (text.ends_with(" lds") || name.contains("_lds_"))
      bounds.cycles[LoopBounds::Lds] +=
          GpuArchitecture::simds * lanes * getBytes(name) / GpuArchitecture::ldsBytesPerCycle;
  }
  return bounds;
}

static void addInstruction(LoopBounds &bounds, StringRef text) {
  LoopBounds cost = getInstructionCost(text, bounds.transcendentalCycles);
  bounds.matrixInstructions += cost.matrixInstructions;
  for (auto [sum, cycles] : llvm::zip(bounds.cycles, cost.cycles))
    sum += cycles;
  bounds.loop.push_back(text.str());
}

std::optional<LoopBounds> bench::readLoopBounds(StringRef assembly, StringRef symbol,
                                                const codegen::hip::KernelResources &resources, StringRef chip) {
  size_t start = assembly.find(("\n" + symbol + ":").str());
  if (start == StringRef::npos)
    return std::nullopt;
  StringRef kernel = assembly.substr(start + 1);
  llvm::SmallVector<StringRef> lines, code;
  kernel.take_front(kernel.find(".Lfunc_end")).split(lines, '\n', -1, false);
  llvm::StringMap<size_t> labels;
  llvm::SmallVector<size_t> loopStarts;
  std::optional<LoopBounds> best;
  for (StringRef line : lines) {
    line = line.take_until([](char c) { return c == ';'; }).trim();
    if (line.ends_with(":"))
      labels[line.drop_back()] = code.size();
    if (line.empty() || line.ends_with(":") || line.starts_with("."))
      continue;
    auto [name, operands] = line.split(' ');
    code.push_back(line);
    auto target = labels.find(operands.trim());
    if (!name.starts_with("s_cbranch") || target == labels.end())
      continue;
    // A loop around another one is not the innermost.
    bool isOuter = llvm::any_of(loopStarts, [&](size_t inner) { return inner >= target->second; });
    loopStarts.push_back(target->second);
    if (isOuter)
      continue;
    LoopBounds loop;
    loop.transcendentalCycles = GpuArchitecture::find(chip)->transcendentalCycles;
    for (StringRef instruction : llvm::ArrayRef<StringRef>(code).drop_front(target->second))
      addInstruction(loop, instruction);
    auto getRank = [](const LoopBounds &bounds) {
      return std::pair(bounds.cycles[LoopBounds::Matrix], bounds.loop.size());
    };
    if (!best || getRank(loop) > getRank(*best))
      best = loop;
  }
  if (!best)
    return best;
  best->occupancy = std::max<int64_t>(codegen::hip::getWavesPerSimd(resources, chip), 1);
  best->groupWaves = std::max<int64_t>(resources.workgroupSize / 64 / GpuArchitecture::simds, 1);
  best->cycles[LoopBounds::Issue] /= best->occupancy;
  return best;
}

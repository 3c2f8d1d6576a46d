//===- TargetTraits.cpp - What kernel generators know of a target ---------===//

#include "ir/kernel/TargetTraits.h"

#include "mlir/IR/BuiltinAttributes.h"

using namespace mlir;
using namespace primus::kernel;

TargetTraits TargetTraits::forCpu(llvm::ArrayRef<std::string> features) {
  auto has = [&](llvm::StringRef feature) { return llvm::is_contained(features, feature); };
  TargetTraits traits;
  bool avx512 = has("avx512f") && has("avx512vl") && has("avx512bw") && has("avx512dq");
  traits.lanes = avx512 ? 16 : 8;
  traits.bf16Dot = avx512 && has("avx512bf16");
  // Sixteen registers hold 4 x 16 accumulators beside a row of B; thirty-two hold 8 x 32.
  if (!avx512) {
    traits.dotRows = 4;
    traits.dotColumns = 16;
  }
  return traits;
}

static TargetTraits forGpu(llvm::StringRef name, DictionaryAttr hardware) {
  TargetTraits traits;
  traits.name = name.str();
  traits.lanes = 64;
  traits.dotRows = traits.dotColumns = 32;
  traits.packs = false;
  traits.gpu = GpuArchitecture::find(name);
  if (!traits.gpu)
    return traits;
  traits.chip = traits.gpu->chip;
  if (!hardware)
    return traits;
  if (auto units = hardware.getAs<IntegerAttr>("compute_units"))
    traits.chip.computeUnits = units.getInt();
  if (auto clock = hardware.getAs<FloatAttr>("clock"))
    traits.chip.clock = clock.getValueAsDouble();
  if (auto bandwidth = hardware.getAs<FloatAttr>("memory_bandwidth"))
    traits.chip.memoryBandwidth = bandwidth.getValueAsDouble();
  if (auto tiles = hardware.getAs<ArrayAttr>("matmul_tiles"))
    for (auto tile : tiles.getAsRange<DenseI64ArrayAttr>())
      if (llvm::ArrayRef<int64_t> n = tile; n.size() == 8)
        traits.tiles.push_back({n[0], n[1], n[2], n[3], {n[4], n[5]}, {n[6], n[7]}});
  return traits;
}

TargetTraits TargetTraits::get(ModuleOp module) {
  auto target = module->getAttrOfType<StringAttr>("primus.target");
  auto features = module->getAttrOfType<ArrayAttr>("primus.cpu_features");
  if (target && target.getValue() != "cpu")
    return forGpu(target.getValue(), module->getAttrOfType<DictionaryAttr>("primus.hardware"));
  if (!features)
    return TargetTraits();
  std::vector<std::string> names;
  for (StringAttr name : features.getAsRange<StringAttr>())
    names.push_back(name.str());
  return forCpu(names);
}

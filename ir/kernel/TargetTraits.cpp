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

TargetTraits TargetTraits::get(ModuleOp module) {
  auto target = module->getAttrOfType<StringAttr>("primus.target");
  auto features = module->getAttrOfType<ArrayAttr>("primus.cpu_features");
  if (target && target.getValue() != "cpu") {
    TargetTraits traits;
    traits.name = target.getValue().str();
    traits.lanes = 64;
    traits.dotRows = traits.dotColumns = 32;
    traits.packs = false;
    return traits;
  }
  if (!features)
    return TargetTraits();
  std::vector<std::string> names;
  for (StringAttr name : features.getAsRange<StringAttr>())
    names.push_back(name.str());
  return forCpu(names);
}

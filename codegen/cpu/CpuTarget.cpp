//===- CpuTarget.cpp - The processor that kernels are compiled for --------===//

#include "codegen/cpu/CpuTarget.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/TargetParser/Host.h"

using namespace llvm;
using namespace primus::codegen;

static constexpr StringLiteral requiredFeatures[] = {"avx2", "bmi2", "f16c", "fma"};
static constexpr StringLiteral avx512Features[] = {"avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl"};
static constexpr StringLiteral bf16Feature = "avx512bf16";

/// Brings a set of names into the form that `CpuTarget` promises.
static Expected<CpuTarget> makeTarget(StringSet<> names) {
  // AVX-512 without one of its parts is of no use to the code generator.
  bool avx512 = all_of(avx512Features, [&](StringRef name) { return names.contains(name); });
  CpuTarget target;
  for (StringRef name : requiredFeatures) {
    if (!names.contains(name))
      return createStringError("a CPU target needs the feature '%s' (AVX2 generation, 2013 or later)", name.data());
    target.features.push_back(name.str());
  }
  if (avx512) {
    for (StringRef name : avx512Features)
      target.features.push_back(name.str());
    if (names.contains(bf16Feature))
      target.features.push_back(bf16Feature.str());
  }
  llvm::sort(target.features);
  return target;
}

/// What this machine has and what pays on it.
static StringSet<> hostNames() {
  StringSet<> names;
  for (const auto &feature : sys::getHostCPUFeatures())
    if (feature.getValue())
      names.insert(feature.getKey());
  // Intel's cores issue the dot product of bf16 pairs once in two cycles: half the rate of two f32 FMAs a cycle. AMD's
  // issue it as often as an FMA.
  if (!StringRef(sys::getHostCPUName()).starts_with("znver"))
    names.erase(bf16Feature);
  return names;
}

Expected<CpuTarget> CpuTarget::host() { return makeTarget(hostNames()); }

Expected<CpuTarget> CpuTarget::parse(StringRef list) {
  StringSet<> names;
  // The oldest processor that is supported is the start, so that `--cpu-features avx2` means what it says.
  for (StringRef name : requiredFeatures)
    names.insert(name);
  SmallVector<StringRef> entries;
  list.split(entries, ',', -1, /*KeepEmpty=*/false);
  if (entries.empty())
    return createStringError("the list of CPU features is empty; give 'native' or names such as 'avx2' or 'avx512f,avx512bf16'");
  for (StringRef entry : entries) {
    StringRef name = entry.trim();
    bool remove = name.consume_front("-");
    name.consume_front("+");
    if (name == "native") {
      names = hostNames();
      continue;
    }
    bool isAvx512 = is_contained(avx512Features, name);
    if (!isAvx512 && name != bf16Feature && !is_contained(requiredFeatures, name))
      return createStringError("unknown CPU feature '%s'; known are native, %s and %s", name.str().c_str(),
                               (join(ArrayRef(requiredFeatures), ", ") + ", " + join(ArrayRef(avx512Features), ", ")).c_str(),
                               bf16Feature.data());
    if (remove) {
      names.erase(name);
      continue;
    }
    names.insert(name);
    if (isAvx512 || name == bf16Feature)
      for (StringRef implied : avx512Features)
        names.insert(implied);
  }
  return makeTarget(std::move(names));
}

bool CpuTarget::has(StringRef feature) const { return is_contained(features, feature); }

std::string CpuTarget::featureString() const {
  return join(map_range(features, [](const std::string &name) { return "+" + name; }), ",");
}

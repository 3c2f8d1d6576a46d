//===- Fates.cpp - What becomes of every Megatron key ---------------------===//

#include "frontend/config/megatron/Fates.h"

#include <algorithm>
#include <map>

namespace primus::config::megatron {

static constexpr Fate table[] = {
#define MAPPED(key, fields) {#key, Fate::Kind::Mapped, fields, ""},
#define NO_EFFECT(key, reason) {#key, Fate::Kind::NoEffect, reason, ""},
#define UNSUPPORTED(key, neutral, missing) {#key, Fate::Kind::Unsupported, missing, neutral},
#include "frontend/config/megatron/KeysKernels.def"
#include "frontend/config/megatron/KeysModel.def"
#include "frontend/config/megatron/KeysOther.def"
#include "frontend/config/megatron/KeysParallel.def"
#include "frontend/config/megatron/KeysRun.def"
#include "frontend/config/megatron/KeysTraining.def"
#undef MAPPED
#undef NO_EFFECT
#undef UNSUPPORTED
};

const Fate *findFate(std::string_view key) {
  static const std::map<std::string_view, const Fate *> index = [] {
    std::map<std::string_view, const Fate *> result;
    for (const Fate &fate : table)
      result.emplace(fate.key, &fate);
    return result;
  }();
  auto it = index.find(key);
  return it == index.end() ? nullptr : it->second;
}

const std::vector<std::string> &knownKeys() {
  static const std::vector<std::string> keys = [] {
    std::vector<std::string> result;
    for (const Fate &fate : table)
      result.emplace_back(fate.key);
    std::sort(result.begin(), result.end());
    return result;
  }();
  return keys;
}

} // namespace primus::config::megatron

//===- Megatron.cpp - The megatron flavour --------------------------------===//

#include "frontend/config/megatron/Megatron.h"

#include "frontend/config/CommonKeys.h"
#include "frontend/config/FateMacros.h"
#include "frontend/config/Hardware.h"

namespace primus::config::megatron {

static constexpr Fate table[] = {
#include "frontend/config/megatron/KeysKernels.def"
#include "frontend/config/megatron/KeysModel.def"
#include "frontend/config/megatron/KeysOther.def"
#include "frontend/config/megatron/KeysParallel.def"
#include "frontend/config/megatron/KeysRun.def"
#include "frontend/config/megatron/KeysTraining.def"
};

const FateTable &fates() {
  static const FateTable result(table);
  return result;
}

void map(Mapping &mapping) {
  mapModel(mapping);
  mapRun(mapping);
}

void mapRun(Mapping &mapping) {
  mapOptimizer(mapping);
  mapParallelism(mapping);
  mapTraining(mapping);
  mapPipeline(mapping);
  mapCheckpoint(mapping);
  mapData(mapping);
  mapHardware(mapping);
  mapOutput(mapping);
  mapLogs(mapping);
}

} // namespace primus::config::megatron

//===- MaxText.cpp - The maxtext flavour ----------------------------------===//

#include "frontend/config/maxtext/MaxText.h"

#include "frontend/config/CommonKeys.h"
#include "frontend/config/FateMacros.h"
#include "frontend/config/Hardware.h"

namespace primus::config::maxtext {

static constexpr Fate table[] = {
#include "frontend/config/maxtext/KeysModel.def"
#include "frontend/config/maxtext/KeysRun.def"
#include "frontend/config/maxtext/KeysTraining.def"
};

const FateTable &fates() {
  static const FateTable result(table);
  return result;
}

void map(Mapping &mapping) {
  if (!mapModel(mapping))
    return;
  mapOptimizer(mapping);
  mapTraining(mapping);
  mapTargetHardware(mapping);
  mapOutput(mapping);
}

} // namespace primus::config::maxtext

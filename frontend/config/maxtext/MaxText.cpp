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

/// MaxText's own folder for them, where it is named.
static void mapMetrics(Mapping &m) {
  Setting<bool> enable = m.keys.boolean("enable_tensorboard", false);
  Setting<std::string> base = m.keys.text("base_output_directory", ""), run = m.keys.text("run_name", "");
  if (!enable.value)
    return;
  std::filesystem::path folder = base.value.empty() ? getRunFolder(m) : std::filesystem::path(base.value) / run.value;
  const Origin &origin = base.value.empty() ? enable.origin : base.origin;
  mapTensorBoard(m, {(folder / "tensorboard").string(), origin}, derived<int64_t>(1, "each step", enable.origin));
}

void map(Mapping &mapping) {
  if (!mapModel(mapping))
    return;
  mapOptimizer(mapping);
  mapTraining(mapping);
  mapFp8(mapping);
  mapTargetHardware(mapping);
  mapOutput(mapping);
  mapMetrics(mapping);
}

} // namespace primus::config::maxtext

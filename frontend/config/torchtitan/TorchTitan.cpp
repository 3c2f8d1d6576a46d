//===- TorchTitan.cpp - The torchtitan flavour ----------------------------===//

#include "frontend/config/torchtitan/TorchTitan.h"

#include "frontend/config/CommonKeys.h"
#include "frontend/config/FateMacros.h"
#include "frontend/config/Hardware.h"

#include <algorithm>
#include <filesystem>

namespace primus::config::torchtitan {

static constexpr Fate table[] = {
#include "frontend/config/torchtitan/KeysModel.def"
#include "frontend/config/torchtitan/KeysRun.def"
#include "frontend/config/torchtitan/KeysTraining.def"
};

const FateTable &fates() {
  static const FateTable result(table);
  return result;
}

/// A job file has no experiment around it: its folder and its own name say where results go. Gives the folder.
static std::filesystem::path mapJobFolder(Mapping &m) {
  Setting<std::string> folder = m.keys.text("job.dump_folder", "./outputs");
  if (!m.config.experiment.contains("workspace")) {
    m.spec.set("output.workspace", folder);
    m.spec.set("output.experiment", derived(std::filesystem::path(m.config.experimentFile).stem().string(),
                                            "the name of the job file", folder.origin));
    return folder.value;
  }
  return getRunFolder(m);
}

/// Checkpoints lie in a folder of the results, and a run goes on from the newest of them.
static void mapCheckpoint(Mapping &m, const std::filesystem::path &results) {
  Setting<bool> enable = m.keys.boolean("checkpoint.enable", false);
  Setting<std::string> folder = m.keys.text("checkpoint.folder", "checkpoint");
  Setting<int64_t> interval = m.keys.count("checkpoint.interval", 500, 1);
  Setting<int64_t> keep = m.keys.count("checkpoint.keep_latest_k", 10, 0);
  Setting<int64_t> step = m.keys.count("checkpoint.load_step", -1, -1);
  if (!enable.value)
    return;
  m.spec.set("checkpoint.save", folder.with((results / folder.value).string()));
  m.spec.set("checkpoint.interval", interval);
  m.spec.set("checkpoint.keep", keep);
  m.spec.set("checkpoint.load_step", step.with(std::max<int64_t>(step.value, 0)));
  m.spec.set("checkpoint.auto_resume", derived(true, "TorchTitan goes on from its newest checkpoint", enable.origin));
}

static void mapMetrics(Mapping &m, const std::filesystem::path &results) {
  Setting<bool> enable = m.keys.boolean("metrics.enable_tensorboard", false);
  Setting<std::string> folder = m.keys.text("metrics.save_tb_folder", "tb");
  Setting<int64_t> interval = m.keys.count("metrics.log_freq", 10, 1);
  m.spec.set("training.log_interval", interval);
  if (enable.value)
    mapTensorBoard(m, folder.with((results / folder.value).string()), interval);
}

void map(Mapping &mapping) {
  if (!mapModel(mapping))
    return;
  mapOptimizer(mapping);
  mapTraining(mapping);
  mapFp8(mapping);
  mapHardware(mapping);
  std::filesystem::path results = mapJobFolder(mapping);
  mapCheckpoint(mapping, results);
  mapMetrics(mapping, results);
  mapOutput(mapping);
}

} // namespace primus::config::torchtitan

//===- LogKeys.cpp - Events for TensorBoard -------------------------------===//

#include "frontend/config/megatron/Megatron.h"

#include "frontend/config/CommonKeys.h"

namespace primus::config::megatron {

void mapLogs(Mapping &m) {
  bool isSet = m.keys.isSet("disable_tensorboard");
  Setting<bool> disable = m.keys.boolean("disable_tensorboard", false);
  Setting<std::string> folder = m.keys.text("tensorboard_dir", "");
  Setting<int64_t> interval = m.keys.count("tensorboard_log_interval", 1, 1);
  // Upstream's presets turn it off; what turns it on need not name a folder.
  if (folder.value.empty() && isSet)
    folder = derived((getRunFolder(m) / "tensorboard").string(), "the experiment's folder", disable.origin);
  if (!disable.value && !folder.value.empty())
    mapTensorBoard(m, folder, interval);
}

} // namespace primus::config::megatron

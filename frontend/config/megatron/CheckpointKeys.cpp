//===- CheckpointKeys.cpp - Saving, loading and early ends ----------------===//

#include "frontend/config/megatron/Megatron.h"

namespace primus::config::megatron {

void mapCheckpoint(Mapping &m) {
  m.spec.set("checkpoint.save", m.keys.text("save", ""));
  m.spec.set("checkpoint.interval", m.keys.count("save_interval", 0, 0));
  m.spec.set("checkpoint.keep", m.keys.count("keep_latest_k", 0, 0));
  m.spec.set("checkpoint.retain_interval", m.keys.count("save_retain_interval", 0, 0));
  m.spec.set("checkpoint.skip_last", m.keys.boolean("disable_last_saving", false));
  m.spec.set("checkpoint.parameters_only", m.keys.boolean("no_save_optim", false));
  m.spec.set("checkpoint.load", m.keys.text("load", ""));
  m.spec.set("checkpoint.load_step", m.keys.count("ckpt_step", 0, 0));
  m.spec.set("checkpoint.fresh_optimizer", m.keys.boolean("no_load_optim", false));
  m.spec.set("checkpoint.finetune", m.keys.boolean("finetune", false));
  m.spec.set("checkpoint.required", m.keys.boolean("exit_on_missing_checkpoint", false));
  m.spec.set("checkpoint.pretrained", m.keys.text("pretrained_checkpoint", ""));
  m.spec.set("checkpoint.auto_resume", m.keys.boolean("auto_continue_train", false));
  m.spec.set("training.exit_interval", m.keys.count("exit_interval", 0, 0));
}

} // namespace primus::config::megatron

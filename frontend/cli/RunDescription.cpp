//===- RunDescription.cpp - What an executable says of its run -------------===//

#include "frontend/cli/RunDescription.h"

#include "frontend/config/Config.h"
#include "runtime/executable/ExecutableFile.h"

using namespace primus;

void cli::describeRun(const spec::TrainingSpec &spec, executable::Executable &result) {
  result.set_format_version(runtime::executableFormatVersion);
  result.set_compiler_version(PRIMUS_VERSION);
  result.set_world_size(std::max<int64_t>(spec.parallelism().world_size(), 1));
  spec::TrainingSpec text = spec;
  text.clear_sources();
  text.mutable_output()->clear_workspace(); // equal compilations give equal bytes wherever they run
  result.set_spec(config::printSpec(text));
  const spec::Training &from = spec.training();
  const spec::Optimizer &optimizer = spec.optimizer();
  executable::Training &to = *result.mutable_training();
  to.set_train_steps(from.steps());
  to.set_micro_batch_size(from.micro_batch_size());
  to.set_microbatches(from.global_batch_size() / (from.micro_batch_size() * std::max<int64_t>(spec.parallelism().data(), 1)));
  to.set_sequence_length(from.sequence_length());
  to.set_vocabulary(spec.model().embedding().vocabulary());
  to.set_seed(from.seed());
  to.set_learning_rate(optimizer.learning_rate());
  to.set_min_learning_rate(optimizer.min_learning_rate());
  to.set_warmup_init_learning_rate(optimizer.warmup_init());
  to.set_warmup_steps(optimizer.warmup_steps());
  to.set_stable_steps(optimizer.stable_steps());
  to.set_decay_steps(optimizer.decay_steps());
  to.set_decay_style(optimizer.decay_style());
  to.set_adam_beta1(optimizer.beta1());
  to.set_adam_beta2(optimizer.beta2());
  to.set_eval_interval(from.eval_interval());
  to.set_eval_steps(from.eval_steps());
  to.set_log_interval(from.log_interval());
  to.set_data_kind(spec.data().kind());
  *to.mutable_data_paths() = spec.data().paths();
  *to.mutable_validation_data_paths() = spec.data().validation_paths();
  to.set_split(spec.data().split());
  to.set_time_limit_seconds(from.time_limit_seconds());
  to.set_sample_bytes(from.sample_bytes());
  to.set_frozen(!from.trainable());
  to.set_exit_interval(from.exit_interval());
  to.set_tensorboard_folder(from.tensorboard_folder());
  to.set_tensorboard_interval(from.tensorboard_interval());
  to.set_skips_non_finite(from.skips_non_finite());
  // The messages are the same, field for field.
  to.mutable_checkpoint()->ParseFromString(spec.checkpoint().SerializeAsString());
  for (const auto &[name, value] : config::resumeSettings(spec)) {
    executable::Setting &setting = *result.add_settings();
    setting.set_name(name);
    setting.set_value(value);
  }
}

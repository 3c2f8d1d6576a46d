//===- ResumeSettings.cpp - What a checkpoint should agree with -----------===//

#include "frontend/config/Config.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/text_format.h>

#include <algorithm>

namespace primus::config {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

/// Fields that may change from run to run without changing what is learned in a step. Parallel sizes are none of the
/// settings; rows that pad the vocabulary and microbatches change with them.
static constexpr std::string_view free[] = {
    "model.embedding.padded_vocabulary",
    "training.micro_batch_size",
    "training.recompute",
    "training.recompute_layers",
    "model.name",
    "model.family",
    "model.init_std",
    "model.output_init_std",
    "training.steps",
    "training.trainable",
    "training.eval_interval",
    "training.eval_steps",
    "training.log_interval",
    "training.sample_bytes",
    "training.exit_interval",
    "training.tensorboard_folder",
    "training.tensorboard_interval",
    "training.skips_non_finite",
    "training.time_limit_seconds",
};

/// Adds every field that is set below `message`.
static void addFields(const Message &message, const std::string &path, std::map<std::string, std::string> &settings) {
  google::protobuf::TextFormat::Printer printer;
  printer.SetSingleLineMode(true);
  const google::protobuf::Reflection &reflection = *message.GetReflection();
  std::vector<const FieldDescriptor *> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor *field : fields) {
    std::string name = path + field->name();
    if (std::find(std::begin(free), std::end(free), name) != std::end(free))
      continue;
    int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      std::string element = field->is_repeated() ? fmt::format("{}[{}]", name, i) : name;
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE)
        addFields(field->is_repeated() ? reflection.GetRepeatedMessage(message, field, i)
                                       : reflection.GetMessage(message, field),
                  element + ".", settings);
      else
        printer.PrintFieldValueToString(message, field, field->is_repeated() ? i : -1, &settings[element]);
    }
  }
}

std::map<std::string, std::string> resumeSettings(const spec::TrainingSpec &spec) {
  std::map<std::string, std::string> settings;
  addFields(spec.model(), "model.", settings);
  addFields(spec.optimizer(), "optimizer.", settings);
  addFields(spec.training(), "training.", settings);
  addFields(spec.data(), "data.", settings);
  return settings;
}

} // namespace primus::config

//===- EvalCommand.cpp - primus-eval --------------------------------------===//

#include "frontend/cli/EvalCommand.h"

#include "frontend/cli/Compilation.h"
#include "frontend/cli/CrashGuard.h"
#include "frontend/cli/PrintError.h"
#include "frontend/evaluation/Evaluation.h"
#include "runtime/devices/cpu/CpuDevice.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <fmt/format.h>

using namespace primus;
using namespace primus::cli;
using namespace primus::evaluation;
using models::huggingface::ModelConfig;
using models::huggingface::ModelWeights;
using runtime::Error;
using runtime::Expected;

namespace {

struct EvalOptions {
  std::string model, tokens, save, target = "cpu", precision = "f32";
  std::vector<std::string> outputs = {"loss"}, overrides;
  bool allowUnknown = false;
  int threads = 0;
  EvalOutputs wanted;
};

/// Says what has been done, and how long it took.
class Progress {
public:
  void report(const std::string &what) {
    auto now = std::chrono::steady_clock::now();
    fmt::print(stderr, "{} ({:.1f} s)\n", what, std::chrono::duration<double>(now - last).count());
    last = now;
  }

private:
  std::chrono::steady_clock::time_point last = std::chrono::steady_clock::now();
};

} // namespace

/// Nothing after --help.
static Expected<std::optional<EvalOptions>> parseOptions(int argc, const char *const *argv) {
  EvalOptions options;
  CLI::App app("Loss, logits and gradients of a Hugging Face model on given tokens.", "primus-eval");
  app.add_option("--hf", options.model, "folder of the model: config.json and safetensors")
      ->required()
      ->type_name("DIR");
  app.add_option("--tokens", options.tokens, "safetensors file with input_ids and, if wanted, labels")
      ->required()
      ->type_name("FILE");
  app.add_option("--outputs", options.outputs, "loss, logits, gradients; separated by commas (default: loss)")
      ->delimiter(',');
  app.add_option("--save", options.save, "write the outputs to this safetensors file")->required()->type_name("FILE");
  app.add_option("--target", options.target, "cpu (default)");
  app.add_option("--dtype", options.precision, "what is computed in: f32 (default) or bf16")
      ->check(CLI::IsMember({"f32", "bf16"}));
  app.add_option("--threads", options.threads, "threads (default: one per processor)")->check(CLI::Range(1, 4096));
  app.add_flag("--allow-unknown", options.allowUnknown, "unknown keys of config.json are warnings");
  app.add_option("overrides", options.overrides, "keys of config.json in another way: key=value");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    if (app.exit(error) == 0)
      return std::optional<EvalOptions>();
    return Error::configuration("");
  }
  for (const std::string &output : options.outputs) {
    bool *flag = output == "loss"        ? &options.wanted.loss
                 : output == "logits"    ? &options.wanted.logits
                 : output == "gradients" ? &options.wanted.gradients
                                         : nullptr;
    if (!flag)
      return Error::configuration(
          fmt::format("--outputs: there is no '{}'; choose from loss, logits, gradients", output));
    *flag = true;
  }
  if (options.target != "cpu")
    return Error::configuration(fmt::format("--target {}: evaluation runs on the cpu only", options.target));
  return std::optional(std::move(options));
}

/// Reads config.json for a batch of this shape.
static Expected<ModelConfig> readModel(const EvalOptions &options, const EvalInputs &inputs) {
  Expected<ModelConfig> model =
      models::huggingface::readModelConfig(options.model, options.overrides, options.allowUnknown);
  if (!model)
    return model;
  fmt::print(stderr, "{}", model->warnings);
  if (Error error = checkEvalInputs(inputs, model->spec.model()))
    return error;
  if (model->positions && inputs.tokens > model->positions)
    fmt::print(stderr, "{}: warning: sequences of {} tokens are longer than the {} that the model is made for\n",
               inputs.path, inputs.tokens, model->positions);
  spec::Training &training = *model->spec.mutable_training();
  training.set_micro_batch_size(inputs.batch);
  training.set_global_batch_size(inputs.batch);
  training.set_sequence_length(inputs.tokens);
  training.set_precision(options.precision == "bf16" ? spec::BF16 : spec::F32);
  return model;
}

static Error evaluate(const EvalOptions &options) {
  Expected<EvalInputs> inputs = readEvalInputs(options.tokens);
  if (!inputs)
    return inputs.takeError();
  if ((options.wanted.loss || options.wanted.gradients) && inputs->countLabels() == 0)
    return Error::failure(fmt::format("{}: no label counts, so that there is no loss", options.tokens));
  Expected<ModelConfig> model = readModel(options, *inputs);
  if (!model)
    return model.takeError();
  Expected<ModelWeights> weights =
      models::huggingface::openWeights(options.model, *model->architecture, model->spec.model());
  if (!weights)
    return weights.takeError();
  // What cannot be written should be known before anything is computed.
  auto writer = runtime::SafetensorsWriter::create(
      options.save,
      describeOutputs(options.wanted, *inputs, weights->map, model->spec.model().embedding().vocabulary()));
  if (!writer)
    return writer.takeError();

  Progress progress;
  models::ModelPrograms programs;
  programs.goal = options.wanted.gradients ? Goal::Gradients : Goal::Forward;
  programs.sample = false;
  programs.logits = options.wanted.logits;
  Compilation compilation((CompileOptions()));
  if (int code = compilation.compile(model->spec, programs))
    return code == kConfiguration ? Error::configuration("")
           : code == kFailure     ? Error::failure("")
                                  : Error::defect("");
  progress.report(fmt::format("compiled {} kernels", compilation.getExecutable().kernels_size()));

  auto executor = runtime::Executor::create(compilation.getExecutable(), runtime::createCpuDevice(options.threads));
  if (!executor)
    return executor.takeError();
  Evaluation evaluation(**executor, *inputs, *weights);
  if (Error error = evaluation.load())
    return error;
  progress.report(fmt::format("loaded {} tensors", weights->map.tensors.size()));
  Expected<std::optional<float>> loss = evaluation.run(options.wanted, *writer);
  if (!loss)
    return loss.takeError();
  if (Error error = writer->finish())
    return error;
  progress.report(fmt::format("wrote {}", options.save));
  if (*loss)
    fmt::print("loss {}\n", **loss);
  return Error::success();
}

int cli::evalMain(int argc, const char *const *argv) {
  return runGuarded([&]() -> int {
    Expected<std::optional<EvalOptions>> options = parseOptions(argc, argv);
    Error error = !options ? options.takeError() : *options ? evaluate(**options) : Error::success();
    if (!error)
      return kDone;
    printError("primus-eval", error);
    return error.getExitCode();
  });
}

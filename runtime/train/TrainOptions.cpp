//===- TrainOptions.cpp - The command line of primus-train ----------------===//

#include "runtime/train/TrainOptions.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdlib>
#include <fmt/format.h>

using namespace primus::runtime;

namespace {

/// Options as they are written, before they are judged.
struct RawOptions {
  std::vector<std::string> positionals;
  /// Upstream's word before the experiment, pretrain or posttrain; usually empty.
  std::string task;
  std::string config;
  std::vector<std::string> configPaths;
  std::string module, target, dump, cpuFeatures;
  bool allowUnknown = false;
  std::vector<std::string> explain;
  int threads = 0;
  TrainOptions options;
};

} // namespace

/// --explain takes its key after `=` only, so that it never swallows the experiment.
static std::vector<std::string> takeExplain(int argc, const char *const *argv, RawOptions &raw) {
  std::vector<std::string> rest;
  for (int i = 1; i < argc; ++i) {
    std::string argument = argv[i];
    if (argument == "--explain" || argument.starts_with("--explain="))
      raw.explain.push_back(argument);
    else
      rest.push_back(argument);
  }
  return rest;
}

static void declareOptions(CLI::App &app, RawOptions &raw) {
  app.add_option("experiment", raw.positionals,
                 "An experiment (YAML) with key=value overrides, or an executable (.primus)");
  app.add_option("--config", raw.config, "The experiment, instead of the first argument");
  app.add_option("--data", raw.options.dataPath,
                 "Train on this text file, folder of text, or prefix of a .bin/.idx dataset");
  app.add_option("--metrics", raw.options.metricsPath, "Write one JSON object per step to this file");
  app.add_option("--report", raw.options.reportPath, "Write a JSON report of memory and kernels; - is standard output");
  app.add_option("--profile", raw.options.profilePath,
                 "Write a timeline of kernels, copies, collectives and waits (Chrome trace, for ui.perfetto.dev) to this file: "
                 "of the first 200,000 of them on each rank");
  app.add_option("--resume", raw.options.resume,
                 "auto: go on from the newest checkpoint in the run's folder, if there is one; or a checkpoint's folder");
  app.add_option("--threads", raw.threads, "Threads of this process, divided among its ranks (default: PRIMUS_THREADS, or one per processor)")
      ->check(CLI::Range(1, 4096));
  app.add_option("--ranks", raw.options.ranks, "World size; default: what the experiment's parallel sizes need")
      ->check(CLI::Range(1, 1 << 24));
  app.add_option("--communicator", raw.options.communicator,
                 "How ranks talk: local (threads of this process) or mpi (processes); default: mpi under mpirun or srun. Tensors "
                 "of GPUs go by rccl always, which can be said too")
      ->check(CLI::IsMember({"local", "mpi", "rccl"}));
  app.add_option("--timeout", raw.options.timeoutSeconds,
                 "Seconds after which a rank that others wait for counts as lost, and the run ends; default: 600")
      ->check(CLI::Range(0.001, 1e8));
  const char *group = "Compilation (of an experiment)";
  app.add_option("--config-path", raw.configPaths, "A further folder of presets (repeatable)")
      ->expected(1)
      ->take_all()
      ->group(group);
  app.add_option("--module", raw.module, "Which of the experiment's modules; default: its trainer")->group(group);
  app.add_option("--target", raw.target, "cpu (default), gfx942 or gfx950")->group(group);
  app.add_option("--dump", raw.dump, "Write every phase of the compilation into this folder")->group(group);
  app.add_option("--cpu-features", raw.cpuFeatures, "Processor features; default: this machine's")->group(group);
  app.add_flag("--allow-unknown", raw.allowUnknown, "Unknown keys are warnings")->group(group);
  app.footer("--explain[=KEY] prints where every value came from.");
}

/// The number of threads that the environment asks for, unless the command line does.
static Expected<int> chooseThreads(int fromCommandLine) {
  const char *text = std::getenv("PRIMUS_THREADS");
  if (fromCommandLine > 0 || !text || !*text)
    return fromCommandLine;
  std::string_view value = text;
  int threads = 0;
  auto [end, code] = std::from_chars(value.data(), value.data() + value.size(), threads);
  if (code != std::errc() || end != value.data() + value.size() || threads < 1 || threads > 4096)
    return Error::configuration(fmt::format("PRIMUS_THREADS is '{}', not a number from 1 to 4096", value));
  return threads;
}

/// Upstream writes `train pretrain --config FILE`; the word comes off the front and goes to the compiler.
static void takeTask(RawOptions &raw) {
  if (raw.positionals.empty() || (raw.positionals.front() != "pretrain" && raw.positionals.front() != "posttrain"))
    return;
  raw.task = raw.positionals.front();
  raw.positionals.erase(raw.positionals.begin());
}

static void collectCompileArguments(const RawOptions &raw, TrainOptions &options) {
  std::vector<std::string> &arguments = options.compileArguments;
  if (!raw.task.empty())
    arguments.push_back(raw.task);
  arguments.push_back(options.input);
  for (const std::string &positional : raw.positionals)
    if (positional != options.input)
      arguments.push_back(positional);
  auto add = [&](const char *name, const std::string &value) {
    if (!value.empty())
      arguments.insert(arguments.end(), {name, value});
  };
  for (const std::string &path : raw.configPaths)
    add("--config-path", path);
  add("--module", raw.module);
  add("--target", raw.target);
  add("--dump", raw.dump);
  add("--cpu-features", raw.cpuFeatures);
  if (options.ranks > 0 && !options.isExecutable())
    add("--ranks", std::to_string(options.ranks));
  if (raw.allowUnknown)
    arguments.push_back("--allow-unknown");
  arguments.insert(arguments.end(), raw.explain.begin(), raw.explain.end());
}

Expected<std::optional<TrainOptions>> primus::runtime::parseTrainOptions(int argc, const char *const *argv) {
  RawOptions raw;
  std::vector<std::string> arguments = takeExplain(argc, argv, raw);
  CLI::App app("Trains a model: compiles an experiment, or runs what primus-compile wrote.", "primus-train");
  declareOptions(app, raw);
  try {
    std::reverse(arguments.begin(), arguments.end());
    app.parse(arguments);
  } catch (const CLI::CallForHelp &) {
    fmt::print("{}", app.help());
    return std::optional<TrainOptions>();
  } catch (const CLI::ParseError &error) {
    return Error::configuration(fmt::format("{}; see primus-train --help", error.what()));
  }

  TrainOptions &options = raw.options;
  takeTask(raw);
  options.input = raw.config;
  if (options.input.empty() && !raw.positionals.empty())
    options.input = raw.positionals.front();
  if (options.input.empty())
    return Error::configuration("which experiment? primus-train EXPERIMENT.yaml|FILE.primus; see primus-train --help");
  Expected<int> threads = chooseThreads(raw.threads);
  if (!threads)
    return threads.takeError();
  options.threads = *threads;
  collectCompileArguments(raw, options);
  size_t words = raw.task.empty() ? 1 : 2; // before what is only for experiments
  if (options.isExecutable() && options.compileArguments.size() > words)
    return Error::configuration(fmt::format("'{}' is compiled already: {} needs the experiment", options.input,
                                            options.compileArguments[words]));
  return std::optional<TrainOptions>(std::move(options));
}

//===- BisectCommand.cpp - primus-bisect ----------------------------------===//

#include "frontend/cli/BisectCommand.h"

#include "frontend/bisect/Bisect.h"
#include "frontend/cli/Compilation.h"
#include "frontend/cli/CrashGuard.h"
#include "frontend/config/SpecChecker.h"
#include "frontend/models/ModelBuilder.h"
#include "ir/graph/GraphDialect.h"
#include "passes/Pipeline.h"
#include "passes/stages/StageMap.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <unistd.h>

using namespace mlir;
using namespace primus;
using namespace primus::cli;

namespace {

struct Arguments {
  CompileOptions compile;
  bisect::BisectOptions bisect;
  std::string inputs, report;
};

} // namespace

static int fail(ExitCode code, const std::string &message) {
  fmt::print(stderr, "error: {}\n", message);
  return code;
}

/// The phases that can be run: from model to step.
static std::vector<std::string> listPhases() {
  std::vector<std::string> names;
  for (const Phase &phase : getPhases())
    if (phase.verify)
      names.push_back(phase.name.str());
  return names;
}

static std::string checkPhase(const std::string &name) {
  std::vector<std::string> phases = listPhases();
  if (llvm::is_contained(phases, name))
    return {};
  return fmt::format("no phase '{}' can be run; those that can are {}", name, fmt::join(phases, ", "));
}

static std::optional<int> parse(int argc, const char *const *argv, Arguments &result) {
  CLI::App app("Runs a model after each phase, in the interpreter and compiled, on the same inputs, and names the first phase, pass, op and "
               "element that differ. Exit code 0: all agree; 1: one differs.",
               "primus-bisect");
  std::vector<std::string> arguments;
  bool exactOnly = false, faithfulOnly = false;
  CompileOptions &compile = result.compile;
  app.add_option("arguments", arguments, "EXPERIMENT.yaml, then key=value overrides: keep the model small")->type_name("");
  app.add_option("--config-path", compile.config.configPaths, "more roots of presets, searched first")->allow_extra_args(false);
  app.add_option("--module", compile.config.module, "which of the experiment's modules (default: its trainer)");
  app.add_option("--ranks", compile.config.ranks, "world size (default: the smallest that the parallel sizes need)")
      ->check(CLI::Range(int64_t(1), config::mostRanks));
  app.add_flag("--allow-unknown", compile.config.allowUnknown, "unknown keys are warnings");
  app.add_option("--start-from", compile.startFrom, "begin with a dumped phase (model to fused) instead of an experiment");
  app.add_option("--phases", result.bisect.phases, "compare these only, separated by commas; default: all from model to step")
      ->delimiter(',')
      ->check(checkPhase)
      ->type_name("PHASES");
  auto *exact = app.add_flag("--exact", exactOnly, "graph phases in f64 only");
  app.add_flag("--faithful", faithfulOnly, "graph phases in the types' own rounding, and compiled code, only")->excludes(exact);
  app.add_option("--tolerance", result.bisect.tolerance,
                 "largest relative difference; default: 1e-9 in f64, 1e-3 with rounding, 1e-4 (f32) or 2e-2 (bf16) for kernels, 0.25 with rounding to 8 bits")
      ->check(CLI::PositiveNumber);
  app.add_option("--inputs", result.inputs, "safetensors file with tokens and labels of a step, I32 or I64 (default: random)");
  app.add_option("--seed", result.bisect.setup.seed, "of variables and tokens (default 1234)");
  app.add_option("--steps", result.bisect.setup.steps, "training steps (default 1)")->check(CLI::Range(1, 1000));
  app.add_option("--report", result.report, "write what was found as JSON to this file, or - for standard output");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? kDone : kConfiguration;
  }
  result.bisect.exact = !faithfulOnly;
  result.bisect.faithful = !exactOnly;
  if (result.bisect.phases.size() == 1)
    return fail(kConfiguration, "--phases needs two phases or more to compare");
  if (compile.startFrom.empty()) {
    if (arguments.empty())
      return fail(kConfiguration, "no experiment given; try: primus-bisect configs/experiments/cpu/llama-tiny.yaml num_layers=2 seq_length=64");
    compile.config.experiment = arguments.front();
    arguments.erase(arguments.begin());
  }
  for (const std::string &argument : arguments)
    if (argument.find('=') == std::string::npos)
      return fail(kConfiguration, fmt::format("'{}' is neither an option nor key=value", argument));
  if (!compile.startFrom.empty() && (!arguments.empty() || compile.config.ranks))
    return fail(kConfiguration, "--start-from continues a finished configuration: key=value and --ranks have no effect there");
  compile.config.overrides = arguments;
  compile.stopAfter = "model";
  return std::nullopt;
}

/// What to type to look at the finding.
static std::string describeNextSteps(const Arguments &arguments, const bisect::BisectResult &result) {
  const bisect::PhaseComparison &last = result.comparisons.back();
  std::string source = arguments.compile.startFrom.empty()
                           ? fmt::format("{} {}", arguments.compile.config.experiment, fmt::join(arguments.compile.config.overrides, " "))
                           : "--start-from " + arguments.compile.startFrom;
  while (source.back() == ' ')
    source.pop_back();
  if (arguments.compile.config.ranks)
    source += fmt::format(" --ranks {}", arguments.compile.config.ranks);
  std::string pass = result.finding->pass.substr(0, result.finding->pass.find(' ')), text = "\nNext:\n";
  if (!pass.empty())
    text += fmt::format("  primus-compile {} --stop-after {} --dump DIR --dump-passes '^{}$'    # what the pass changed\n", source, last.phase, pass);
  else
    text += fmt::format("  primus-compile {} --stop-after {} --dump DIR\n", source, last.phase);
  if (last.mode != "compiled")
    text += fmt::format("  primus-bisect --start-from DIR/{:02}-{}.mlir --phases {},{}    # again, from the last phase that is right\n",
                        *findPhase(last.before), last.before, last.before, last.phase);
  else if (!result.finding->kernel.empty())
    text += fmt::format("  primus-compile {} --dump DIR    # then DIR/kernels/{}.mlir\n", source, result.finding->kernel);
  return text;
}

/// The interpreter is slow: says so where a run takes minutes.
static void warnIfLarge(ModuleOp module, const Arguments &arguments) {
  std::optional<double> flops = models::getModelFlops(module);
  if (!flops)
    return;
  // Measured: the interpreter's multiplications and additions per second, and runs of the step in one bisection that finds nothing.
  constexpr double flopsPerSecond = 1e9, runs = 12;
  double seconds = *flops * runs * static_cast<double>(arguments.bisect.setup.steps) / flopsPerSecond;
  if (seconds > 60)
    fmt::print(stderr,
               "note: this model takes the interpreter about {:.0f} minutes. A smaller one usually shows the same: for example num_layers=2 "
               "seq_length=64 micro_batch_size=1 global_batch_size=2\n",
               std::ceil(seconds / 60));
}

/// Makes a module without a pipeline of one with stages that are not split yet. Bisection follows one program; stages run
/// the same functions of layers.
static void leaveOutPipeline(ModuleOp module) {
  module->removeAttr(stages::kPipelineAttr);
  auto mesh = module->getAttrOfType<graph::MeshAttr>(graph::kMeshAttr);
  SmallVector<int64_t> sizes(mesh.getSizes());
  for (auto [name, size] : llvm::zip_equal(mesh.getNames(), sizes))
    if (name.getValue() == "pp")
      size = 1;
  module->setAttr(graph::kMeshAttr, graph::MeshAttr::get(module.getContext(), mesh.getNames(), sizes));
  fmt::print(stderr, "note: the pipeline is left out: what is compared are the layers, which its stages share\n");
}

static int run(Arguments &arguments) {
  Compilation compilation(arguments.compile);
  if (int code = compilation.run())
    return code;
  ModuleOp module = compilation.getModule();
  auto phaseName = module->getAttrOfType<StringAttr>("primus.phase");
  unsigned from = *findPhase(phaseName.getValue());
  if (from >= *findPhase("step"))
    return fail(kConfiguration, fmt::format("{} is in phase {}, which has no graph any more; start from model to fused",
                                            arguments.compile.startFrom, phaseName.str()));
  for (const std::string &phase : arguments.bisect.phases)
    if (*findPhase(phase) < from)
      return fail(kConfiguration, fmt::format("--phases names '{}', which comes before phase '{}' of {}", phase, phaseName.str(),
                                              arguments.compile.startFrom));
  int64_t ranks = compilation.getSpec().parallelism().world_size();
  if (module->hasAttr(stages::kPipelineAttr)) {
    if (from >= *findPhase("placed"))
      return fail(kConfiguration, fmt::format("{} has a program for each rank of a pipeline, which are not compared; start from a phase "
                                              "before 'placed', or without a pipeline",
                                              arguments.compile.startFrom));
    leaveOutPipeline(module);
    ranks /= std::max<int64_t>(compilation.getSpec().parallelism().pipeline(), 1);
  }
  if (ranks > 1) {
    if (llvm::is_contained(arguments.bisect.phases, "step"))
      return fail(kConfiguration, "--phases names 'step', but compiled code of several ranks is not run here; compare up to fused, or give the "
                                  "experiment one rank");
    fmt::print(stderr, "note: the graph phases run on all ranks in the interpreter; compiled code is compared for one rank only\n");
  }
  arguments.bisect.setup.vocabulary = compilation.getSpec().model().embedding().vocabulary();
  if (!arguments.inputs.empty()) {
    auto inputs = bisect::readInputs(arguments.inputs, module, arguments.bisect.setup.vocabulary);
    if (!inputs) {
      runtime::Error error = inputs.takeError();
      return fail(static_cast<ExitCode>(error.getExitCode()), error.getMessage());
    }
    arguments.bisect.setup.given = std::move(*inputs);
  }
  arguments.bisect.kernelCache = getCacheFolder() + "/kernels";
  if (isatty(STDERR_FILENO))
    arguments.bisect.progress = [](const std::string &what) { fmt::print(stderr, "\r\033[K{}", what); };
  else
    arguments.bisect.progress = [](const std::string &what) { fmt::print(stderr, "{}\n", what); };
  warnIfLarge(module, arguments);

  ScopedDiagnosticHandler handler(module.getContext(), [](Diagnostic &diagnostic) { printDiagnostic(diagnostic); });
  if (failed(getPhases()[from].verify(module)))
    return fail(kConfiguration, fmt::format("{} does not keep what phase {} promises", arguments.compile.startFrom, phaseName.str()));
  FailureOr<bisect::BisectResult> result = bisect::bisectPhases(module, from, arguments.bisect);
  if (isatty(STDERR_FILENO))
    fmt::print(stderr, "\r\033[K");
  if (failed(result))
    return fail(kDefect, "a phase could not be built or run; this is a defect of the compiler");
  std::string text = bisect::describe(*result);
  if (result->finding)
    text += describeNextSteps(arguments, *result);
  std::string json = bisect::toJson(*result).dump(2) + "\n";
  fmt::print(arguments.report == "-" ? stderr : stdout, "{}", text);
  if (arguments.report == "-")
    fmt::print("{}", json);
  else if (!arguments.report.empty() && !writeFile(arguments.report, json))
    return kFailure;
  return result->finding ? kDefect : kDone;
}

int cli::bisectMain(int argc, const char *const *argv) {
  return runGuarded([&]() -> int {
    Arguments arguments;
    if (std::optional<int> code = parse(argc, argv, arguments))
      return *code;
    return run(arguments);
  });
}

//===- CommandLine.cpp - The options of the compiler's commands -----------===//

#include "frontend/cli/CommandLine.h"

#include "codegen/CompileExecutable.h"
#include "frontend/config/SpecChecker.h"
#include "frontend/config/Suggestion.h"
#include "passes/Pipeline.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Regex.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

using namespace primus;
using namespace primus::cli;

static std::string listPhases() {
  std::string names;
  for (const Phase &phase : getPhases())
    names += (names.empty() ? "" : ", ") + phase.name.str();
  return names;
}

/// An option's value has to name a phase.
static std::string checkPhase(const std::string &name) {
  return findPhase(name) ? std::string() : fmt::format("there is no phase '{}'; the phases are {}", name, listPhases());
}

static std::string describePhases() {
  std::string text = "Phases (--emit, --stop-after, --dump):\n";
  for (const Phase &phase : getPhases())
    text += fmt::format("  {:<9} {}\n", phase.name.str(), phase.summary.str());
  return text;
}

/// What is wrong with --disable-pass NAME; empty if nothing is.
static std::string checkDisabledPass(const std::string &name) {
  std::vector<std::string> names;
  for (const PhasePass &pass : getPhasePasses()) {
    if (pass.argument == name)
      return pass.needed.empty() ? std::string()
                                 : fmt::format("phase {} can't do without {}: {}", pass.phase.str(), name, pass.needed.str());
    if (pass.needed.empty())
      names.push_back(pass.argument);
  }
  return fmt::format("there is no pass '{}'; {}", name,
                     config::didYouMean(name, names, fmt::format("those that can be left out are {}", fmt::join(names, ", "))));
}

/// What is wrong with --dump-passes REGEX; empty if nothing is.
static std::string checkDumpedPasses(const std::string &text) {
  llvm::Regex regex(text);
  std::string error, names;
  if (!regex.isValid(error))
    return fmt::format("'{}' is no regular expression: {}", text, error);
  for (const PhasePass &pass : getPhasePasses()) {
    if (regex.match(pass.argument))
      return {};
    if (names.find(pass.argument) == std::string::npos)
      names += (names.empty() ? "" : ", ") + pass.argument;
  }
  return fmt::format("no pass matches '{}'; the passes are {}", text, names);
}

/// Upstream writes `train pretrain --config FILE`; its words come off the front. Gives the last of them.
static std::string takeTask(std::vector<std::string> &arguments) {
  std::string task;
  auto take = [&](std::initializer_list<std::string_view> words) {
    if (arguments.empty() || std::find(words.begin(), words.end(), arguments.front()) == words.end())
      return;
    task = arguments.front();
    arguments.erase(arguments.begin());
  };
  take({"train"});
  take({"pretrain", "posttrain"});
  return task;
}

std::optional<int> cli::parseCommandLine(int argc, const char *const *argv, bool forTraining, CompileOptions &options) {
  CLI::App app("Compiles a training experiment. Every key of the experiment can be given again as key=value.",
               forTraining ? "primus-train" : "primus-compile");
  app.footer(describePhases());
  std::vector<std::string> arguments;
  std::string configFile, explain;
  app.add_option("arguments", arguments, "EXPERIMENT.yaml (or TorchTitan's JOB.toml), then key=value overrides")->type_name("");
  app.add_option("--config", configFile, "the experiment, instead of the first argument");
  app.add_option("--config-path", options.config.configPaths, "more roots for models/<framework>/ and modules/<framework>/ presets, searched first")
      ->allow_extra_args(false);
  app.add_option("--module", options.config.module, "which of the experiment's modules (default: its trainer)");
  app.add_flag("--allow-unknown", options.config.allowUnknown, "unknown keys are warnings");
  app.add_option("--target", options.target, "cpu (default), gfx942 or gfx950");
  app.add_option("--cpu-features", options.cpuFeatures, "LLVM's names, comma separated (default: this machine's)");
  auto *ranksOption =
      app.add_option("--ranks", options.config.ranks, "world size (default: the smallest that the parallel sizes need)")
          ->check(CLI::Range(int64_t(1), config::mostRanks));
  app.add_option("--dump", options.dump, "write every phase to this folder, with index.html to look at them in a browser");
  app.add_option("--report", options.report, "write the report as JSON to this file, or - for standard output");
  auto *explainOption = app.add_option("--explain", explain, "where every value, or KEY's, came from")->expected(0, 1)->type_name("KEY");
  if (!forTraining) {
    app.add_option("-o,--output", options.output, "write the executable to this file");
    app.add_option("--emit", options.emit, "print this phase to standard output and stop")->check(checkPhase)->type_name("PHASE");
    app.add_option("--stop-after", options.stopAfter, "stop after this phase")->check(checkPhase)->type_name("PHASE");
    app.add_option("--dump-passes", options.dumpPasses, "with --dump: what each pass whose name matches changed, in DIR/passes")
        ->check(checkDumpedPasses)
        ->type_name("REGEX");
    app.add_option("--disable-pass", options.disabledPasses, "leave out a pass that no phase needs (repeatable)")
        ->allow_extra_args(false)
        ->check(checkDisabledPass)
        ->type_name("NAME");
    app.add_option("--start-from", options.startFrom, "continue from a dumped phase (spec or later)");
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? kDone : kConfiguration;
  }
  if (explainOption->count())
    options.explain = explain;
  options.config.postTraining = takeTask(arguments) == "posttrain";
  if (!configFile.empty())
    arguments.insert(arguments.begin(), configFile);

  auto fail = [](const std::string &message) {
    fmt::print(stderr, "error: {}\n", message);
    return std::optional<int>(kConfiguration);
  };
  if (arguments.empty() && options.startFrom.empty())
    return fail("no experiment given; try: primus-compile configs/experiments/cpu/llama-tiny.yaml");
  if (!arguments.empty() && options.startFrom.empty()) {
    options.config.experiment = arguments.front();
    arguments.erase(arguments.begin());
  }
  for (const std::string &argument : arguments)
    if (argument.find('=') == std::string::npos)
      return fail(fmt::format("'{}' is neither an option nor key=value", argument));
  if (!options.startFrom.empty() && !arguments.empty())
    return fail("--start-from continues a finished configuration: key=value has no effect there; change the dumped file, or start from the experiment");
  if (!options.startFrom.empty() && ranksOption->count())
    return fail("--start-from continues a finished configuration, whose parallel sizes are settled: leave out --ranks, or start from the experiment");
  options.config.overrides = arguments;
  options.config.target = options.target.empty() ? "cpu" : options.target;
  if (!options.dumpPasses.empty() && options.dump.empty())
    return fail("--dump-passes needs --dump DIR: it writes into DIR/passes");
  if (!options.target.empty() && !llvm::is_contained(codegen::getTargets(), options.target))
    return fail(fmt::format("there is no target '{}'; the targets are {}", options.target, llvm::join(codegen::getTargets(), ", ")));
  if (!options.cpuFeatures.empty() && options.config.target != "cpu")
    return fail(fmt::format("--cpu-features has no effect on --target {}: leave it out", options.target));
  return std::nullopt;
}

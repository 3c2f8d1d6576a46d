//===- Compilation.cpp - One experiment through all phases ----------------===//

#include "frontend/cli/Compilation.h"

#include "codegen/CompileExecutable.h"
#include "codegen/cpu/CpuTarget.h"
#include "frontend/cli/KernelPrediction.h"
#include "frontend/cli/Progress.h"
#include "frontend/cli/QuantisationReport.h"
#include "frontend/cli/RunDescription.h"
#include "frontend/dump/Dump.h"
#include "frontend/dump/ModuleText.h"
#include "frontend/dump/RankFigures.h"
#include "frontend/dump/Reproducer.h"
#include "passes/Passes.h"
#include "passes/Pipeline.h"
#include "runtime/executable/ExecutableFile.h"
#include "runtime/metrics/Report.h"

#include "llvm/Support/SourceMgr.h"

#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <limits>

using namespace mlir;
using namespace primus;
using namespace primus::cli;

static int report(ExitCode code, const std::string &message) {
  fmt::print(stderr, "error: {}\n", message);
  return code;
}

std::string cli::getCacheFolder() {
  if (const char *folder = std::getenv("PRIMUS_CACHE"); folder && *folder)
    return folder;
  if (const char *folder = std::getenv("XDG_CACHE_HOME"); folder && *folder)
    return std::string(folder) + "/primus";
  const char *home = std::getenv("HOME");
  return std::string(home && *home ? home : "/tmp") + "/.cache/primus";
}

bool cli::writeFile(const std::string &path, const std::string &content) {
  std::error_code error;
  std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (!folder.empty())
    std::filesystem::create_directories(folder, error);
  std::ofstream file(path, std::ios::binary);
  file << content;
  file.close();
  if (!file)
    fmt::print(stderr, "error: {} could not be written: {}\n", path, error ? error.message() : std::strerror(errno));
  return static_cast<bool>(file);
}

Compilation::Compilation(CompileOptions optionsIn) : options(std::move(optionsIn)) {
  DialectRegistry registry;
  registerDialects(registry);
  passDump.folder = options.dump + "/passes";
  passDump.passes = llvm::Regex(options.dumpPasses);
  context = std::make_unique<MLIRContext>(registry, MLIRContext::Threading::DISABLED);
  context->loadAllAvailableDialects();
  last = getPhases().size() - 1;
  for (const std::string &name : {options.emit, options.stopAfter})
    if (!name.empty())
      last = std::min(last, *findPhase(name));
}

Compilation::~Compilation() = default;

bool Compilation::wants(unsigned phase) const { return !options.dump.empty() || options.emit == getPhases()[phase].name; }

void Compilation::observe(unsigned index, const std::string &text) {
  const Phase &phase = getPhases()[index];
  if (options.emit == phase.name)
    fmt::print("{}{}", text, text.empty() || text.back() == '\n' ? "" : "\n");
  if (!options.dump.empty() && !phase.extension.empty())
    dumpFailed |= !writeFile(fmt::format("{}/{:02}-{}.{}", options.dump, index, phase.name.str(), phase.extension.str()), text);
  if (!options.dump.empty() && !phase.verify)
    page.addText(index, text);
}

void Compilation::lap(StringRef phase) {
  auto now = std::chrono::steady_clock::now();
  seconds.emplace_back(phase.str(), std::chrono::duration<double>(now - lapStart).count());
  lapStart = now;
}

/// Phases config and spec.
int Compilation::configure() {
  config::Diagnostics diagnostics;
  auto finishDiagnostics = [&] {
    if (!diagnostics.empty())
      fmt::print(stderr, "{}", diagnostics.str());
    return diagnostics.hasErrors();
  };
  auto resolved = config::resolveConfig(options.config, diagnostics);
  if (!resolved) {
    finishDiagnostics();
    return kConfiguration;
  }
  unsigned configPhase = *findPhase("config"), specPhase = *findPhase("spec");
  lap("config");
  if (wants(configPhase))
    observe(configPhase, resolved->json());
  if (last == configPhase)
    return finishDiagnostics() ? kConfiguration : kDone;
  auto built = config::buildSpec(*resolved, diagnostics);
  if (finishDiagnostics() || !built)
    return kConfiguration;
  spec = built->spec;
  if (options.config.target != "cpu")
    spec.set_target(options.config.target);
  lap("spec");
  if (options.explain)
    fmt::print("{}", config::explain(*resolved, *built, *options.explain));
  if (wants(specPhase))
    observe(specPhase, config::printSpec(spec));
  return kDone;
}

/// Reads a dumped phase. A module says which phase it is in.
int Compilation::startFrom() {
  auto buffer = llvm::MemoryBuffer::getFile(options.startFrom);
  if (!buffer)
    return report(kFailure, options.startFrom + " can't be read: " + buffer.getError().message());
  unsigned specPhase = *findPhase("spec");
  if (!StringRef(options.startFrom).ends_with(".mlir")) {
    config::Diagnostics diagnostics;
    auto parsed = config::parseSpec((*buffer)->getBuffer().str(), options.startFrom, diagnostics);
    if (parsed)
      config::verifySpec(*parsed, diagnostics);
    fmt::print(stderr, "{}", diagnostics.str());
    if (!parsed || diagnostics.hasErrors())
      return kConfiguration;
    spec = *parsed;
    if (!options.target.empty())
      spec.set_target(options.target == "cpu" ? "" : options.target);
    if (wants(specPhase))
      observe(specPhase, config::printSpec(spec));
    return last <= specPhase ? kDone : compileModule(specPhase);
  }
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(std::move(*buffer), llvm::SMLoc());
  SourceMgrDiagnosticHandler handler(sources, context.get());
  module = parseModule(sources, context.get());
  if (!module)
    return kConfiguration;
  auto phaseName = (*module)->getAttrOfType<StringAttr>("primus.phase");
  auto phase = phaseName ? findPhase(phaseName.getValue()) : std::nullopt;
  auto embedded = (*module)->getAttrOfType<StringAttr>("primus.spec");
  if (!phase || !embedded)
    return report(kConfiguration, options.startFrom + " is no dump of ours: its module lacks primus.phase or primus.spec");
  config::Diagnostics diagnostics;
  auto parsed = config::parseSpec(embedded.str(), options.startFrom, diagnostics);
  if (!parsed)
    return report(kConfiguration, diagnostics.str());
  spec = *parsed;
  return compileModule(*phase);
}

static void printAlone(const Diagnostic &diagnostic) {
  std::string text;
  llvm::raw_string_ostream(text) << diagnostic.getLocation() << ": " << diagnostic;
  fmt::print(stderr, "{}: {}\n", diagnostic.getSeverity() == DiagnosticSeverity::Error ? "error" : "note", text);
}

void cli::printDiagnostic(Diagnostic &diagnostic) {
  printAlone(diagnostic);
  for (const Diagnostic &note : diagnostic.getNotes())
    printAlone(note);
}

void Compilation::measure(const Phase &phase, ModuleOp present) {
  figures.push_back(PhaseFigures::of(present, phase.name));
  figures.back().seconds = seconds.back().second;
  if (nlohmann::ordered_json found = describeRanks(present); !found.is_null())
    ranks = std::move(found);
  if (std::optional<PipelineFigures> found = PipelineFigures::of(present, phase.name, spec))
    pipeline = std::move(found);
}

LogicalResult Compilation::runPasses(unsigned from, unsigned to) {
  // A dump remembers what its passes were, so that it goes on as it began; an executable depends on what they did alone.
  std::vector<std::string> disabled = options.disabledPasses;
  if (auto before = (*module)->getAttrOfType<ArrayAttr>("primus.disabled_passes"))
    for (auto name : before.getAsRange<StringAttr>())
      disabled.push_back(name.str());
  std::sort(disabled.begin(), disabled.end());
  disabled.erase(std::unique(disabled.begin(), disabled.end()), disabled.end());
  if (!disabled.empty())
    (*module)->setAttr("primus.disabled_passes",
                       Builder(context.get()).getStrArrayAttr(SmallVector<StringRef>(disabled.begin(), disabled.end())));

  auto observePhase = [&](const Phase &phase, ModuleOp present) {
    lap(phase.name);
    present->setAttr("primus.phase", StringAttr::get(context.get(), phase.name));
    measure(phase, present);
    unsigned index = *findPhase(phase.name);
    if (wants(index))
      observe(index, figures.back().describe(figures.size() > 1 ? &figures.end()[-2] : nullptr) + printModule(present));
    if (!options.dump.empty())
      page.addModule(index, present);
    lapStart = std::chrono::steady_clock::now();
  };

  PhaseOptions phaseOptions;
  phaseOptions.disabledPasses = disabled;
  phaseOptions.prepare = [&](const Phase &phase, PassManager &passes) {
    if (!options.dumpPasses.empty())
      passes.addInstrumentation(createPassDump(passDump, phase.name));
    enableReproducers(passes, options.dump.empty() ? getCacheFolder() + "/reproducers" : options.dump, phase.name);
  };
  bool explains = options.explain && options.explain->empty();
  if (explains)
    remarks.attach(*context);
  if (succeeded(runPhases(*module, from, to, observePhase, phaseOptions))) {
    if (explains)
      fmt::print("{}", remarks.str());
    return success();
  }
  // A pass that crashed may have left the module in no state to be destroyed.
  (void)module.release();
  (void)context.release();
  return failure();
}

/// Facts of the GPU from which kernels' tiles are chosen.
static DictionaryAttr describeHardware(Builder builder, const spec::Hardware &hardware) {
  NamedAttrList facts;
  if (hardware.compute_units() > 0)
    facts.set("compute_units", builder.getI64IntegerAttr(hardware.compute_units()));
  if (hardware.clock() > 0)
    facts.set("clock", builder.getF64FloatAttr(hardware.clock()));
  if (hardware.memory_bandwidth() > 0)
    facts.set("memory_bandwidth", builder.getF64FloatAttr(hardware.memory_bandwidth()));
  SmallVector<Attribute> tiles;
  for (const spec::MatmulTile &tile : hardware.matmul_tiles())
    tiles.push_back(builder.getDenseI64ArrayAttr({tile.m(), tile.n(), tile.k(), tile.bits(), tile.tile(0), tile.tile(1),
                                                  tile.waves(0), tile.waves(1)}));
  if (!tiles.empty())
    facts.set("matmul_tiles", builder.getArrayAttr(tiles));
  return facts.getDictionary(builder.getContext());
}

static llvm::Error checkTargetName(StringRef target) {
  if (llvm::is_contained(codegen::getTargets(), target))
    return llvm::Error::success();
  return llvm::createStringError("there is no target '%s'; the targets are %s", target.str().c_str(),
                                 llvm::join(codegen::getTargets(), ", ").c_str());
}

/// Notes on a new module what it is compiled for: the target, facts of a GPU, and on the CPU the features that were asked for, else this
/// machine's.
static llvm::Error setTarget(ModuleOp module, const spec::TrainingSpec &spec, const std::string &cpuFeatures) {
  Builder builder(module.getContext());
  std::string target = spec.target().empty() ? "cpu" : spec.target();
  if (llvm::Error error = checkTargetName(target))
    return error;
  module->setAttr("primus.target", builder.getStringAttr(target));
  if (target != "cpu") {
    module->setAttr("primus.hardware", describeHardware(builder, spec.hardware()));
    return llvm::Error::success();
  }
  auto processor = cpuFeatures.empty() ? codegen::CpuTarget::host() : codegen::CpuTarget::parse(cpuFeatures);
  if (!processor)
    return processor.takeError();
  SmallVector<StringRef> names(processor->features.begin(), processor->features.end());
  module->setAttr("primus.cpu_features", builder.getStrArrayAttr(names));
  return llvm::Error::success();
}

/// A dump goes on as it began: its tiles have its target's sizes. Options may only repeat it.
static llvm::Error checkTarget(ModuleOp dump, const spec::TrainingSpec &spec, const CompileOptions &options) {
  auto target = dump->getAttrOfType<StringAttr>("primus.target");
  if (!target)
    return setTarget(dump, spec, options.cpuFeatures);
  if (llvm::Error error = checkTargetName(target.getValue()))
    return error;
  if (!options.target.empty() && options.target != target.getValue())
    return llvm::createStringError("--target %s: the dump was made for %s; leave the option out, or start from the experiment",
                                   options.target.c_str(), target.str().c_str());
  auto features = dump->getAttrOfType<ArrayAttr>("primus.cpu_features");
  if (options.cpuFeatures.empty() || !features)
    return llvm::Error::success();
  auto asked = codegen::CpuTarget::parse(options.cpuFeatures);
  if (!asked)
    return asked.takeError();
  auto names = features.getAsValueRange<StringAttr>();
  if (!llvm::equal(asked->features, names))
    return llvm::createStringError("--cpu-features %s: the dump was made for %s; leave the option out, or start from the experiment",
                                   options.cpuFeatures.c_str(), llvm::join(names, ",").c_str());
  return llvm::Error::success();
}

LogicalResult Compilation::compileKernels(codegen::CompileOptions &codegenOptions) {
  Progress progress("kernels");
  codegenOptions.progress = [&](size_t done, size_t count) { progress.update(done, count); };
  // Passes are too short for threads, kernels are not.
  context->enableMultithreading();
  LogicalResult compiled = codegen::compileExecutable(*module, codegenOptions, result);
  context->disableMultithreading();
  return compiled;
}

/// IR phases after `from` and the objects.
int Compilation::compileModule(unsigned from) {
  if (module)
    if (llvm::Error error = checkTarget(*module, spec, options))
      return report(kConfiguration, llvm::toString(std::move(error)));
  ScopedDiagnosticHandler handler(context.get(), [](Diagnostic &diagnostic) { printDiagnostic(diagnostic); });
  unsigned modelPhase = *findPhase("model"), objectsPhase = *findPhase("objects");
  lapStart = std::chrono::steady_clock::now();
  if (!module) {
    auto built = models::buildModel(spec, context.get(), programs);
    if (failed(built))
      return kConfiguration;
    module = std::move(*built);
    if (llvm::Error error = setTarget(*module, spec, options.cpuFeatures))
      return report(kConfiguration, llvm::toString(std::move(error)));
    Builder builder(context.get());
    (*module)->setAttr("primus.parameters", builder.getI64IntegerAttr(models::countParameters(*module, spec.model())));
    models::setModelFlops(*module, models::countModelFlops(*module));
    from = modelPhase;
  }
  unsigned lastIr = std::min(last, objectsPhase - 1);
  if (failed(runPasses(from, lastIr)))
    return report(kDefect, "this is a defect of the compiler; --dump DIR shows the phases up to the failure");
  if (auto parameters = (*module)->getAttrOfType<IntegerAttr>("primus.parameters"))
    result.set_parameters(parameters.getInt());
  flopsPerStep = models::getModelFlops(*module).value_or(0);
  // An executable has no more than an integer can say.
  result.set_flops_per_step(flopsPerStep < 0x1p63 ? static_cast<int64_t>(flopsPerStep) : std::numeric_limits<int64_t>::max());
  if (last < objectsPhase)
    return kDone;

  codegen::CompileOptions codegenOptions;
  codegenOptions.cacheDir = getCacheFolder() + "/kernels";
  KernelDump dump(options.dump, options.emit == "objects");
  if (dump.isWanted())
    codegenOptions.dump = [&](StringRef kernel, StringRef extension, StringRef content) { dump.add(kernel, extension, content); };
  if (failed(compileKernels(codegenOptions)))
    return report(kDefect, "the kernels could not be compiled; this is a defect of the compiler");
  describeRun(spec, result);
  complete = true;
  lap("objects");
  page.addPhase(objectsPhase);
  if (!dump.finish(result))
    return kFailure;
  return kDone;
}

nlohmann::ordered_json Compilation::makeReport() const {
  nlohmann::ordered_json report;
  if (complete)
    report = runtime::makeReport(result);
  else
    report = {{"parameters", result.parameters()}};
  report["flops_per_step"] = describeCount(flopsPerStep);
  if (!complete && !ranks.is_null())
    report["ranks"] = ranks;
  const spec::Parallelism &parallel = spec.parallelism();
  int64_t data = std::max<int64_t>(parallel.data(), 1);
  if (complete)
    addPredictions(report["kernels"], *module, spec.hardware());
  if (complete)
    if (auto fp8 = describeQuantisation(report["kernels"], *module); !fp8.is_null())
      report["fp8"] = std::move(fp8);
  report["parallelism"] = {{"world_size", parallel.world_size()},
                           {"data", data},
                           {"replicate", parallel.replicate()},
                           {"shard", parallel.shard()},
                           {"zero_stage", parallel.zero_stage()},
                           {"tensor", parallel.tensor()},
                           {"sequence_parallel", parallel.sequence_parallel()},
                           {"context", parallel.context()},
                           {"pipeline", parallel.pipeline()},
                           {"expert", parallel.expert()},
                           {"sequences_per_rank", spec.training().global_batch_size() / data},
                           {"gradient_accumulation",
                            spec.training().global_batch_size() /
                                std::max<int64_t>(spec.training().micro_batch_size() * data, 1)}};
  if (pipeline)
    report["pipeline"] = pipeline->toJson();
  auto &times = report["compile_seconds"] = nlohmann::ordered_json::object();
  for (const auto &[phase, value] : seconds)
    times[phase] = value;
  auto &phases = report["phases"] = nlohmann::ordered_json::array();
  for (const PhaseFigures &phase : figures)
    phases.push_back(phase.toJson());
  return report;
}

int Compilation::finish() {
  if (!options.report.empty()) {
    std::string text = makeReport().dump(2) + "\n";
    if (options.report == "-")
      fmt::print("{}", text);
    else if (!writeFile(options.report, text))
      return kFailure;
  }
  if (!options.dump.empty() && !figures.empty() && !writeFile(options.dump + "/report.json", makeReport().dump(2) + "\n"))
    return kFailure;
  if (!options.output.empty() && complete) {
    if (runtime::Error error = runtime::saveExecutable(result, options.output))
      return report(kFailure, error.getMessage());
  }
  return dumpFailed || passDump.failed ? kFailure : kDone;
}

bool Compilation::writePipeline() {
  if (options.dump.empty() || !pipeline)
    return true;
  bool written = writeFile(options.dump + "/pipeline.csv", schedules::toCsv(pipeline->table));
  return writeFile(options.dump + "/pipeline.txt", pipeline->toText()) && written;
}

bool Compilation::writePage() {
  if (options.dump.empty() || page.isEmpty())
    return true;
  page.setFacts(spec, options);
  if (pipeline)
    page.setPipeline(pipeline->toPage());
  return writeFile(options.dump + "/index.html", page.render(makeReport()));
}

int Compilation::compile(const spec::TrainingSpec &experiment, const models::ModelPrograms &wanted) {
  spec = experiment;
  programs = wanted;
  return compileModule(*findPhase("spec"));
}

int Compilation::run() {
  if (!options.output.empty() && last + 1 != getPhases().size())
    return report(kConfiguration, "-o needs all phases, but --emit or --stop-after ends before the last");
  if (!options.report.empty() && last < *findPhase("model"))
    return report(kConfiguration, "--report needs phase model or a later one, but --emit or --stop-after ends before it");
  int status = kDone;
  if (!options.startFrom.empty()) {
    status = startFrom();
  } else {
    status = configure();
    if (status == kDone && last > *findPhase("spec"))
      status = compileModule(*findPhase("spec"));
  }
  // Also after a failure the page shows how far it came.
  dumpFailed |= !writePage();
  dumpFailed |= !writePipeline();
  return status == kDone ? finish() : status;
}

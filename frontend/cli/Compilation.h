//===- Compilation.h - One experiment through all phases ----------*- C++ -*-===//

#pragma once

#include "codegen/common/CompileEach.h"
#include "frontend/cli/CommandLine.h"
#include "frontend/dump/HtmlPage.h"
#include "frontend/dump/PassDump.h"
#include "frontend/dump/PhaseFigures.h"
#include "frontend/dump/PipelineFigures.h"
#include "frontend/dump/RemarkLog.h"
#include "frontend/models/ModelBuilder.h"
#include "passes/Pipeline.h"
#include "runtime/executable/Executable.pb.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"

#include <nlohmann/json.hpp>

#include <chrono>

namespace primus::cli {

/// Runs the phases that the options ask for and writes what they want to see. Messages go to standard error.
class Compilation {
public:
  explicit Compilation(CompileOptions options);
  ~Compilation();

  /// Everything; returns an exit code. The executable is complete if `hasExecutable()`.
  int run();

  /// The phases after `spec`, for an experiment that is known already; returns an exit code.
  int compile(const spec::TrainingSpec &spec, const models::ModelPrograms &programs);

  bool hasExecutable() const { return complete; }
  const executable::Executable &getExecutable() const { return result; }
  const spec::TrainingSpec &getSpec() const { return spec; }
  /// The module in the last phase that ran; null before the first IR phase.
  mlir::ModuleOp getModule() const { return module ? *module : mlir::ModuleOp(); }
  /// What --report prints: parameters, FLOPs, memory, kernels, the pipeline's time and the figures of each phase. Without an executable there are
  /// no kernels, and memory is estimated, from phase `placed` on.
  nlohmann::ordered_json makeReport() const;

private:
  int configure();
  int startFrom();
  int compileModule(unsigned from);
  /// Runs the passes of the IR phases after `from`, and notes on the module what was left out.
  mlir::LogicalResult runPasses(unsigned from, unsigned to);
  mlir::LogicalResult compileKernels(codegen::CompileOptions &codegenOptions);
  int finish();
  /// Called after each IR phase: notes its figures.
  void measure(const Phase &phase, mlir::ModuleOp present);
  /// DIR/pipeline.csv and DIR/pipeline.txt of a dump.
  bool writePipeline();
  /// Called after each phase with its text: dumps it, or prints it for --emit.
  void observe(unsigned phase, const std::string &text);
  bool wants(unsigned phase) const;
  /// DIR/index.html of a dump, with the phases that were reached.
  bool writePage();
  /// Notes the time since the last call as the phase's.
  void lap(llvm::StringRef phase);

  CompileOptions options;
  RemarkLog remarks;
  std::unique_ptr<mlir::MLIRContext> context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  spec::TrainingSpec spec;
  models::ModelPrograms programs;
  executable::Executable result;
  double flopsPerStep = 0;
  PassDumpTarget passDump;
  /// Index of the last phase to run.
  unsigned last;
  bool complete = false;
  bool dumpFailed = false;
  HtmlPage page;
  std::vector<std::pair<std::string, double>> seconds;
  std::chrono::steady_clock::time_point lapStart = std::chrono::steady_clock::now();
  /// Of the IR phases so far.
  std::vector<PhaseFigures> figures;
  /// Of the last phase that says them.
  nlohmann::ordered_json ranks;
  std::optional<PipelineFigures> pipeline;
};

/// Folder of compiled kernels and executables: $PRIMUS_CACHE, else primus in the user's cache folder.
std::string getCacheFolder();

/// Prints a diagnostic and its notes, with their places, to standard error.
void printDiagnostic(mlir::Diagnostic &diagnostic);

/// Writes a file and the folders above it; prints an error and returns false when it can't.
bool writeFile(const std::string &path, const std::string &content);

/// Entry of the tool; returns its exit code.
int compileMain(int argc, const char *const *argv);

} // namespace primus::cli

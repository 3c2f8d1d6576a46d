//===- CompilerInterface.cpp - The compiler as primus-train sees it -------===//

#include "runtime/compiler/CompilerInterface.h"

#include "frontend/cli/Compilation.h"
#include "frontend/cli/CrashGuard.h"
#include "runtime/executable/ExecutableFile.h"
#include "runtime/executable/PipelineRank.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/SHA256.h"

#include <filesystem>
#include <fmt/format.h>

using namespace primus;
using namespace primus::cli;

/// The executable's place in the cache: named by its content, so that equal runs share it.
static std::string cachePath(const executable::Executable &executable) {
  std::string bytes = runtime::serializeExecutable(executable);
  auto digest = llvm::SHA256::hash(llvm::ArrayRef(reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size()));
  return getCacheFolder() + "/executables/" + llvm::toHex(llvm::ArrayRef(digest).take_front(16), /*LowerCase=*/true) + ".primus";
}

/// The phase that answers --explain: all remarks are there when the memory is planned, one key is the spec's.
static std::string getLastExplained(const std::string &key) { return key.empty() ? "step" : "spec"; }

static int compile(int argc, const char *const *argv, PrimusCompileResult &result) {
  CompileOptions options;
  if (std::optional<int> code = parseCommandLine(argc, argv, /*forTraining=*/true, options)) {
    result.done = *code == kDone;
    result.message.clear(); // it is printed already
    return *code;
  }
  bool explains = options.explain.has_value();
  if (explains)
    options.stopAfter = getLastExplained(*options.explain);
  options.report.clear(); // the run's report, with what was allocated, is primus-train's to write
  Compilation compilation(options);
  if (int code = compilation.run()) {
    result.message.clear(); // what is wrong is printed already
    return code;
  }
  result.done = explains;
  if (explains)
    return kDone;

  result.executablePath = cachePath(compilation.getExecutable());
  std::error_code ignored; // saving reports what matters
  std::filesystem::create_directories(std::filesystem::path(result.executablePath).parent_path(), ignored);
  if (runtime::Error error = runtime::saveExecutable(compilation.getExecutable(), result.executablePath)) {
    result.message = error.getMessage();
    return error.getExitCode();
  }
  const spec::Output &output = compilation.getSpec().output();
  // A TorchTitan job has no group and no user.
  std::filesystem::path folder = output.workspace();
  for (const std::string &part : {output.work_group(), output.user_name(), output.experiment()})
    if (!part.empty())
      folder /= part;
  result.outputFolder = folder.string();
  result.moduleName = compilation.getSpec().module();
  result.sinkLevel = output.sink_level();
  result.fileSinkLevel = output.file_sink_level();
  result.stderrSinkLevel = output.stderr_sink_level();
  result.reportJson = compilation.makeReport().dump(2);
  for (const spec::Source &source : compilation.getSpec().sources())
    result.sources.push_back({source.field(), source.key(),
                              source.line() ? fmt::format("{}:{}", source.file(), source.line()) : source.layer()});
  return kDone;
}

int primus_compile_for_training(int argc, const char *const *argv, PrimusCompileResult *result) {
  result->message = "the compiler failed";
  result->status = runGuarded([&] { return compile(argc, argv, *result); });
  return result->status;
}

static int runCompiler(int argc, const char *const *argv) {
  CompileOptions options;
  if (std::optional<int> code = parseCommandLine(argc, argv, /*forTraining=*/false, options))
    return *code;
  bool explains = options.explain.has_value();
  if (explains && options.output.empty() && options.dump.empty() && options.emit.empty() && options.stopAfter.empty() && options.report.empty())
    options.stopAfter = getLastExplained(*options.explain);
  Compilation compilation(options);
  int code = compilation.run();
  if (code == kDone && compilation.hasExecutable() && options.report != "-") {
    const executable::Executable &executable = compilation.getExecutable();
    auto spills = [](const executable::Kernel &kernel) { return kernel.resources().spills() != 0 || kernel.resources().scratch_bytes() != 0; };
    int64_t spilling = llvm::count_if(executable.kernels(), spills);
    fmt::print(stderr, "{}: {} parameters, {} kernels{}, peak {:.1f} MiB\n", compilation.getSpec().model().name(), executable.parameters(),
               executable.kernels_size(), spilling ? fmt::format(" ({} short of registers)", spilling) : "",
               static_cast<double>(runtime::getLargestArena(executable)) / (1 << 20));
  }
  return code;
}

int cli::compileMain(int argc, const char *const *argv) {
  return runGuarded([&] { return runCompiler(argc, argv); });
}

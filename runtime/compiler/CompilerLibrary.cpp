//===- CompilerLibrary.cpp - The compiler, opened when it is needed -------===//

#include "runtime/compiler/CompilerLibrary.h"

#include "runtime/support/OwnFolder.h"

#include <dlfcn.h>
#include <fmt/format.h>

using namespace primus::runtime;

static Expected<PrimusCompileForTraining> openCompiler() {
  constexpr const char *name = "libprimus_compiler.so";
  std::filesystem::path beside = getLibraryFolder() / name;
  std::error_code code;
  std::string path = std::filesystem::exists(beside, code) ? beside.string() : name;
  // Never closed: the compiler registers destructors and thread-local state.
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  void *function = library ? dlsym(library, primusCompileForTrainingName) : nullptr;
  if (function)
    return reinterpret_cast<PrimusCompileForTraining>(function);
  const char *reason = dlerror();
  return Error::failure(fmt::format("cannot open the compiler library, which an experiment needs (a .primus file does "
                                    "not): {}",
                                    reason ? reason : "unknown reason"));
}

Expected<PrimusCompileResult> primus::runtime::compileForTraining(const std::vector<std::string> &arguments) {
  Expected<PrimusCompileForTraining> compile = openCompiler();
  if (!compile)
    return compile.takeError();
  std::vector<const char *> argv = {"primus-train"};
  for (const std::string &argument : arguments)
    argv.push_back(argument.c_str());
  PrimusCompileResult result;
  switch ((*compile)(static_cast<int>(argv.size()), argv.data(), &result)) {
  case 0:
    return result;
  case 2:
    return Error::configuration(result.message);
  case 3:
    return Error::failure(result.message);
  default:
    return Error::defect(result.message);
  }
}

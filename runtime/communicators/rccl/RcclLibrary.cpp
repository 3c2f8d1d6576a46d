//===- RcclLibrary.cpp - librccl.so, opened when it is needed -------------===//

#include "runtime/communicators/rccl/RcclLibrary.h"

#include "runtime/support/SharedLibrary.h"

#include <fmt/format.h>

using namespace primus::runtime;
using namespace primus::runtime::rccl;

static constexpr const char *files[] = {"librccl.so", "librccl.so.1", "/opt/rocm/lib/librccl.so"};
static constexpr SharedLibrary shared = {"RCCL", "RCCL, which several GPUs need", "PRIMUS_RCCL_LIBRARY", files,
                                         "install ROCm's rccl, or name its librccl.so in PRIMUS_RCCL_LIBRARY"};

static Error load(Library &library) {
#define FUNCTION(type, name, parameters) {"nccl" #name, &library.name},
  const LibraryFunction functions[] = {PRIMUS_RCCL_FUNCTIONS(FUNCTION)};
#undef FUNCTION
  Expected<std::string> path = shared.open(functions);
  if (!path)
    return path.takeError();
  library.path = *path;
  return Error::success();
}

Expected<const Library *> Library::open() { return loadOnce(load); }

Error Library::check(Result result, const char *call, std::string_view doing) const {
  if (result == Success)
    return Error::success();
  const char *text = GetErrorString(result);
  return Error::failure(fmt::format("{}: {} failed: {} ({}; NCCL_DEBUG=WARN says more)", doing, call,
                                    text ? text : "unknown error", static_cast<unsigned>(result)));
}

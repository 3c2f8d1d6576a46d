//===- HipLibrary.cpp - libamdhip64.so, opened when it is needed ----------===//

#include "runtime/devices/hip/HipLibrary.h"

#include "runtime/support/SharedLibrary.h"

#include <fmt/format.h>

using namespace primus::runtime;
using namespace primus::runtime::hip;

static constexpr const char *files[] = {"libamdhip64.so", "libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so.5",
                                       "/opt/rocm/lib/libamdhip64.so"};
static constexpr SharedLibrary shared = {"HIP library", "the HIP library, which GPUs need", "PRIMUS_HIP_LIBRARY", files,
                                         "install ROCm 5, 6 or 7, or name its libamdhip64.so in PRIMUS_HIP_LIBRARY"};

static Error checkVersion(Library &library) {
  if (Error error = library.check(library.RuntimeGetVersion(&library.version), "hipRuntimeGetVersion",
                                  fmt::format("using '{}'", library.path)))
    return error;
  int major = library.version / versionsPerMajor;
  if (major < oldestMajor || major > newestMajor)
    return Error::failure(fmt::format("'{}' is HIP {} (version {}), and this program knows HIP {} to {}; {}", library.path,
                                      major, library.version, oldestMajor, newestMajor, shared.advice));
  return Error::success();
}

static Error load(Library &library) {
#define FUNCTION(type, name, parameters) {"hip" #name, &library.name},
  const LibraryFunction functions[] = {PRIMUS_HIP_FUNCTIONS(FUNCTION)};
#undef FUNCTION
  Expected<std::string> path = shared.open(functions);
  if (!path)
    return path.takeError();
  library.path = *path;
  if (Error error = library.check(library.Init(0), "hipInit", "starting HIP"))
    return Error::failure(error.getMessage() + "; is the amdgpu driver loaded, and may this user open /dev/kfd and "
                                               "/dev/dri/renderD* (groups render and video)?");
  return checkVersion(library);
}

Expected<const Library *> Library::open() { return loadOnce(load); }

Error Library::check(Result result, const char *call, std::string_view doing) const {
  if (result == Success)
    return Error::success();
  const char *name = GetErrorName(result), *text = GetErrorString(result);
  return Error::failure(fmt::format("{}: {} failed: {} ({}, {})", doing, call, text ? text : "unknown error",
                                    name ? name : "no name", static_cast<unsigned>(result)));
}

//===- HipLibrary.cpp - libamdhip64.so, opened when it is needed ----------===//

#include "runtime/devices/hip/HipLibrary.h"

#include "runtime/support/SharedLibrary.h"

#include <fmt/format.h>
#include <mutex>

using namespace primus::runtime;
using namespace primus::runtime::hip;

static constexpr const char *advice = "install ROCm 5, 6 or 7, or name its libamdhip64.so in PRIMUS_HIP_LIBRARY";

static Error checkVersion(Library &library) {
  if (Error error = library.check(library.RuntimeGetVersion(&library.version), "hipRuntimeGetVersion",
                                  fmt::format("using '{}'", library.path)))
    return error;
  int major = library.version / versionsPerMajor;
  if (major < oldestMajor || major > newestMajor)
    return Error::failure(fmt::format("'{}' is HIP {} (version {}), and this program knows HIP {} to {}; {}", library.path,
                                      major, library.version, oldestMajor, newestMajor, advice));
  return Error::success();
}

static Error load(Library &library) {
  constexpr const char *names[] = {"libamdhip64.so",   "libamdhip64.so.7",           "libamdhip64.so.6",
                                   "libamdhip64.so.5", "/opt/rocm/lib/libamdhip64.so"};
  Expected<SharedLibrary> opened = SharedLibrary::open("PRIMUS_HIP_LIBRARY", names);
  if (!opened)
    return Error::failure(fmt::format("the HIP library, which GPUs need: {}; {}", opened.takeError().getMessage(), advice));
  library.path = opened->getPath();
  const char *missing = nullptr;
#define FIND(type, name, parameters)                                                                                   \
  if (!opened->find("hip" #name, library.name))                                                                        \
    missing = "hip" #name;
  PRIMUS_HIP_FUNCTIONS(FIND)
#undef FIND
  if (missing)
    return Error::failure(fmt::format("'{}' is no HIP library that this program knows: it has no function '{}'; {}",
                                      library.path, missing, advice));
  if (Error error = library.check(library.Init(0), "hipInit", "starting HIP"))
    return Error::failure(error.getMessage() + "; is the amdgpu driver loaded, and may this user open /dev/kfd and "
                                               "/dev/dri/renderD* (groups render and video)?");
  return checkVersion(library);
}

Expected<const Library *> Library::open() {
  static std::mutex mutex;
  static Library library;
  static bool isLoaded = false;
  std::lock_guard lock(mutex);
  if (!isLoaded)
    if (Error error = load(library))
      return error;
  isLoaded = true;
  return &library;
}

Error Library::check(Result result, const char *call, std::string_view doing) const {
  if (result == Success)
    return Error::success();
  const char *name = GetErrorName(result), *text = GetErrorString(result);
  return Error::failure(fmt::format("{}: {} failed: {} ({}, {})", doing, call, text ? text : "unknown error",
                                    name ? name : "no name", static_cast<unsigned>(result)));
}

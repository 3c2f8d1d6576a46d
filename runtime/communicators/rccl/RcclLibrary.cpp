//===- RcclLibrary.cpp - librccl.so, opened when it is needed -------------===//

#include "runtime/communicators/rccl/RcclLibrary.h"

#include "runtime/support/SharedLibrary.h"

#include <fmt/format.h>
#include <mutex>

using namespace primus::runtime;
using namespace primus::runtime::rccl;

static Error load(Library &library) {
  constexpr const char *advice = "install ROCm's rccl, or name its librccl.so in PRIMUS_RCCL_LIBRARY";
  constexpr const char *names[] = {"librccl.so", "librccl.so.1", "/opt/rocm/lib/librccl.so"};
  Expected<SharedLibrary> opened = SharedLibrary::open("PRIMUS_RCCL_LIBRARY", names);
  if (!opened)
    return Error::failure(
        fmt::format("RCCL, which several GPUs need: {}; {}", opened.takeError().getMessage(), advice));
  library.path = opened->getPath();
  const char *missing = nullptr;
#define FIND(type, name, parameters)                                                                                   \
  if (!opened->find("nccl" #name, library.name))                                                                       \
    missing = "nccl" #name;
  PRIMUS_RCCL_FUNCTIONS(FIND)
#undef FIND
  if (missing)
    return Error::failure(
        fmt::format("'{}' is no RCCL that this program knows: it has no function '{}'; {}", library.path, missing, advice));
  return Error::success();
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
  const char *text = GetErrorString(result);
  return Error::failure(fmt::format("{}: {} failed: {} ({}; NCCL_DEBUG=WARN says more)", doing, call,
                                    text ? text : "unknown error", static_cast<unsigned>(result)));
}

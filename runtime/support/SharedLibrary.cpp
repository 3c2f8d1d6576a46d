//===- SharedLibrary.cpp - Libraries that are opened by name --------------===//

#include "runtime/support/SharedLibrary.h"

#include <cstdlib>
#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

using namespace primus::runtime;

Expected<SharedLibrary> SharedLibrary::open(const char *variable, std::span<const char *const> names) {
  const char *named = std::getenv(variable);
  if (named && *named) {
    if (void *handle = dlopen(named, RTLD_NOW | RTLD_LOCAL))
      return SharedLibrary(named, handle);
    return Error::failure(fmt::format("{}: cannot open it: {}", variable, dlerror()));
  }
  std::string reason;
  for (const char *name : names) {
    if (void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL))
      return SharedLibrary(name, handle);
    // The first that is there and broken says more than the last that is missing.
    std::string message = dlerror();
    if (reason.empty() || reason.find("No such file") != std::string::npos)
      reason = message;
  }
  return Error::failure(fmt::format("none of {} can be opened ({})", fmt::join(names, ", "), reason));
}

void *SharedLibrary::findAddress(const char *name) const { return dlsym(handle, name); }

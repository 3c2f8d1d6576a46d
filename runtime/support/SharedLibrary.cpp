//===- SharedLibrary.cpp - Libraries that are opened by name --------------===//

#include "runtime/support/SharedLibrary.h"

#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

using namespace primus::runtime;

/// Opens what is named, or else the first that can be. Without a handle, `path` is the reason.
static void *openFile(const char *variable, std::span<const char *const> files, std::string &path) {
  const char *named = std::getenv(variable);
  if (named && *named) {
    void *handle = dlopen(named, RTLD_NOW | RTLD_LOCAL);
    path = handle ? named : fmt::format("{}: cannot open it: {}", variable, dlerror());
    return handle;
  }
  std::string reason;
  for (const char *file : files) {
    path = file;
    if (void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL))
      return handle;
    // The first that is there and broken says more than the last that is missing.
    std::string message = dlerror();
    if (reason.empty() || reason.find("No such file") != std::string::npos)
      reason = message;
  }
  path = fmt::format("none of {} can be opened ({})", fmt::join(files, ", "), reason);
  return nullptr;
}

Expected<std::string> SharedLibrary::open(std::span<const LibraryFunction> functions) const {
  std::string path;
  void *handle = openFile(variable, files, path);
  if (!handle)
    return Error::failure(fmt::format("{}: {}; {}", purpose, path, advice));
  for (const LibraryFunction &function : functions) {
    void *address = dlsym(handle, function.name);
    if (!address)
      return Error::failure(fmt::format("'{}' is no {} that this program knows: it has no function '{}'; {}", path, name,
                                        function.name, advice));
    std::memcpy(function.pointer, &address, sizeof(address));
  }
  return path;
}

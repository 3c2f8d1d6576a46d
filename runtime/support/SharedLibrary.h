//===- SharedLibrary.h - Libraries that are opened by name ----------------===//

#ifndef PRIMUS_RUNTIME_SUPPORT_SHAREDLIBRARY_H
#define PRIMUS_RUNTIME_SUPPORT_SHAREDLIBRARY_H

#include "runtime/support/Error.h"

#include <mutex>
#include <span>
#include <string>

namespace primus::runtime {

/// A function that is looked up, and the pointer to it that is set.
struct LibraryFunction {
  const char *name;
  void *pointer;
};

/// A library of the vendor's that only some machines have.
struct SharedLibrary {
  const char *name;                   ///< as messages call it: "RCCL"
  const char *purpose;                ///< the same, and why it is opened: "RCCL, which several GPUs need"
  const char *variable;               ///< of the environment: names the file
  std::span<const char *const> files; ///< without it, the first of these that there is
  const char *advice;                 ///< what to do where it is missing

  /// Opens it to the end of the process, and finds all of the functions. Gives the file. The message of an error says what was
  /// tried, why it did not work, and the advice.
  Expected<std::string> open(std::span<const LibraryFunction> functions) const;
};

/// The process's only `Library`, which `load` fills in; after a failure the next call tries again.
template <typename Library>
Expected<const Library *> loadOnce(Error (*load)(Library &)) {
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

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_SUPPORT_SHAREDLIBRARY_H

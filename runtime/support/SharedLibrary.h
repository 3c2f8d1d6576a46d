//===- SharedLibrary.h - Libraries that are opened by name ----------------===//

#ifndef PRIMUS_RUNTIME_SUPPORT_SHAREDLIBRARY_H
#define PRIMUS_RUNTIME_SUPPORT_SHAREDLIBRARY_H

#include "runtime/support/Error.h"

#include <span>
#include <string>

namespace primus::runtime {

/// A library of the vendor's that only some machines have. It stays open to the end of the process.
class SharedLibrary {
public:
  /// Opens the file that the environment variable names, or else the first of `names` that there is. The message says what
  /// was tried, and why it did not work.
  static Expected<SharedLibrary> open(const char *variable, std::span<const char *const> names);

  const std::string &getPath() const { return path; }

  /// Looks a function up. False if there is none.
  template <typename Function>
  bool find(const char *name, Function *&function) const {
    function = reinterpret_cast<Function *>(findAddress(name));
    return function;
  }

private:
  SharedLibrary(std::string path, void *handle) : path(std::move(path)), handle(handle) {}
  void *findAddress(const char *name) const;

  std::string path;
  void *handle;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_SUPPORT_SHAREDLIBRARY_H

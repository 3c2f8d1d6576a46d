//===- OwnFolder.cpp - Where this library lies ----------------------------===//

#include "runtime/support/OwnFolder.h"

#include <dlfcn.h>

using namespace primus;
namespace fs = std::filesystem;

fs::path runtime::getLibraryFolder() {
  Dl_info info;
  // Any symbol of this library will do.
  if (dladdr(reinterpret_cast<void *>(&getLibraryFolder), &info) == 0 || !info.dli_fname)
    return {};
  return fs::path(info.dli_fname).parent_path();
}

fs::path runtime::findOwnTree() {
  std::error_code code;
  fs::path folder = fs::canonical(getLibraryFolder(), code);
  for (int level = 0; level < 5 && folder.has_relative_path(); ++level, folder = folder.parent_path())
    for (const fs::path &candidate : {folder / "share" / "primus", folder})
      if (fs::is_directory(candidate / "configs" / "modules", code))
        return candidate;
  return {};
}

//===- HipLibrary.h - libamdhip64.so, opened when it is needed ------------===//

#ifndef PRIMUS_RUNTIME_DEVICES_HIP_HIPLIBRARY_H
#define PRIMUS_RUNTIME_DEVICES_HIP_HIPLIBRARY_H

#include "runtime/devices/hip/HipApi.h"
#include "runtime/support/Error.h"

#include <string>
#include <string_view>

namespace primus::runtime::hip {

/// The functions of HIP. One per process; never closed, as its threads outlive any use.
struct Library {
#define DECLARE(type, name, parameters) type(*name) parameters = nullptr;
  PRIMUS_HIP_FUNCTIONS(DECLARE)
#undef DECLARE

  std::string path; ///< what was opened
  int version = 0;  ///< hipRuntimeGetVersion

  /// Opens the library that PRIMUS_HIP_LIBRARY names, or else ROCm's, and starts it. Fails where it is missing, lacks a
  /// function, is of a version that this program does not know, or finds no driver.
  static Expected<const Library *> open();

  /// Success, or an error that names the call, and what HIP says of it. `doing` is what for.
  Error check(Result result, const char *call, std::string_view doing) const;
};

} // namespace primus::runtime::hip

#endif // PRIMUS_RUNTIME_DEVICES_HIP_HIPLIBRARY_H

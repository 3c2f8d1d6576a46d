//===- RcclLibrary.h - librccl.so, opened when it is needed ---------------===//

#ifndef PRIMUS_RUNTIME_COMMUNICATORS_RCCL_RCCLLIBRARY_H
#define PRIMUS_RUNTIME_COMMUNICATORS_RCCL_RCCLLIBRARY_H

#include "runtime/communicators/rccl/RcclApi.h"
#include "runtime/support/Error.h"

#include <string>
#include <string_view>

namespace primus::runtime::rccl {

/// The functions of RCCL. One per process; never closed.
struct Library {
#define DECLARE(type, name, parameters) type(*name) parameters = nullptr;
  PRIMUS_RCCL_FUNCTIONS(DECLARE)
#undef DECLARE

  std::string path; ///< what was opened

  /// Opens the library that PRIMUS_RCCL_LIBRARY names, or else ROCm's.
  static Expected<const Library *> open();

  /// Success, or an error that names the call, and what RCCL says of it. `doing` is what for.
  Error check(Result result, const char *call, std::string_view doing) const;
};

} // namespace primus::runtime::rccl

#endif // PRIMUS_RUNTIME_COMMUNICATORS_RCCL_RCCLLIBRARY_H

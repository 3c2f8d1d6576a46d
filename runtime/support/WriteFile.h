//===- WriteFile.h - Writing whole files ----------------------------------===//

#ifndef PRIMUS_RUNTIME_SUPPORT_WRITEFILE_H
#define PRIMUS_RUNTIME_SUPPORT_WRITEFILE_H

#include "runtime/support/Error.h"

#include <string>
#include <string_view>

namespace primus::runtime {

/// Writes all bytes to a descriptor. On failure, errno says why.
bool writeAll(int descriptor, std::string_view bytes);

/// Writes to a temporary name beside `path`, syncs and renames, so that a reader never sees half a file and a failure
/// leaves nothing behind. Devices and pipes are written in place.
Error writeFileAtomically(const std::string &path, std::string_view bytes);

/// Makes a folder's entries survive a crash of the machine. Empty means the working folder.
Error syncFolder(const std::string &path);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_SUPPORT_WRITEFILE_H

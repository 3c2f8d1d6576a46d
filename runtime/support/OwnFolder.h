//===- OwnFolder.h - Where this library lies ------------------------------===//

#ifndef PRIMUS_RUNTIME_SUPPORT_OWNFOLDER_H
#define PRIMUS_RUNTIME_SUPPORT_OWNFOLDER_H

#include <filesystem>

namespace primus::runtime {

/// The folder of the runtime library, or nothing if the linker does not say.
std::filesystem::path getLibraryFolder();

/// The folder above the library that holds our `configs`: the repository of a build tree, or the share folder of an
/// installation. Nothing if there is none.
std::filesystem::path findOwnTree();

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_SUPPORT_OWNFOLDER_H

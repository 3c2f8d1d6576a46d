//===- ObjectCache.h - Compiled kernels on disk ------------------*- C++ -*-===//

#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <optional>
#include <string>

namespace primus::codegen {

/// A folder of object files under the hash of everything that decides their contents. Entries carry a checksum: a damaged one counts as absent.
/// Processes may share the folder: entries appear whole, by renaming. A folder that cannot be written is no error; the
/// cache is then of no use.
class ObjectCache {
public:
  /// An empty folder name gives a cache that holds nothing.
  explicit ObjectCache(std::string folder);

  /// The key of contents that follow from `parts` and from this build of the compiler.
  static std::string getKey(llvm::ArrayRef<llvm::StringRef> parts);

  std::optional<std::string> find(llvm::StringRef key) const;
  void insert(llvm::StringRef key, llvm::StringRef object) const;

private:
  std::string getPath(llvm::StringRef key) const;

  std::string folder;
};

} // namespace primus::codegen

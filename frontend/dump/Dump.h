//===- Dump.h - What a person reads of a compilation --------------*- C++ -*-===//

#pragma once

#include "runtime/executable/Executable.pb.h"

#include "llvm/ADT/StringRef.h"

namespace primus::cli {

/// Files of the kernels: DIR/kernels/<name>.{mlir,ll,s,o|hsaco} from the code generator and <name>.json, the launch's description.
class KernelDump {
public:
  /// Writes below `folder` (nowhere if empty); `print` sends the assembly to standard output.
  KernelDump(std::string folder, bool print) : folder(std::move(folder)), print(print) {}

  bool isWanted() const { return print || !folder.empty(); }
  void add(llvm::StringRef kernel, llvm::StringRef extension, llvm::StringRef content);
  /// Writes the descriptions. False if any file could not be written.
  bool finish(const executable::Executable &executable);

private:
  std::string folder;
  bool print;
  bool failed = false;
};

} // namespace primus::cli

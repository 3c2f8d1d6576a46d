//===- RemarkLog.h - What the passes chose, for people ------------*- C++ -*-===//

#pragma once

#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/MapVector.h"

#include <map>
#include <string>
#include <vector>

namespace primus::cli {

/// Collects the remarks of the passes that run in a context.
class RemarkLog {
public:
  /// Starts to listen. The log must outlive the context.
  void attach(mlir::MLIRContext &context);

  /// The remarks by layer's function and, in it, by what they are about, in the order of the passes.
  std::string str() const;

private:
  friend struct RemarkListener;
  struct Entry {
    std::string text;
    int64_t bytes;
  };
  using Categories = llvm::MapVector<std::string, std::vector<Entry>, std::map<std::string, unsigned>>;
  llvm::MapVector<std::string, Categories, std::map<std::string, unsigned>> functions;
};

} // namespace primus::cli

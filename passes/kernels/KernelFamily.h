//===- KernelFamily.h - Generators of tile programs --------------*- C++ -*-===//
//
// A family turns a graph.fusion into tile programs. One family is one file of this folder, registered in Families.cpp; FormFusions
// asks the families which groups of ops they accept, LowerToStep asks them for the kernels.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "ir/graph/GraphDialect.h"
#include "ir/kernel/KernelDialect.h"
#include "ir/kernel/TargetTraits.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/TypeUtilities.h"

namespace primus::kernels {

/// Of a tensor.
inline llvm::ArrayRef<int64_t> shapeOf(mlir::Value value) {
  return mlir::cast<mlir::RankedTensorType>(value.getType()).getShape();
}
inline int64_t numElements(mlir::Value value) {
  return mlir::cast<mlir::RankedTensorType>(value.getType()).getNumElements();
}
/// Whether a tensor's elements are floats of 8 bits.
inline bool isFloat8(mlir::Value value) {
  mlir::Type element = mlir::getElementTypeOrSelf(value.getType());
  return mlir::isa<mlir::FloatType>(element) && element.getIntOrFloatBitWidth() == 8;
}

/// A launch's operand: an input or output of the fusion, or a temporary, under the shape that the kernel expects.
struct Operand {
  enum Kind { Input, Output, Temporary } kind;
  unsigned index;
  /// Shape under which the kernel sees the (packed, row-major) buffer from `byteOffset` on.
  mlir::MemRefType type;
  int64_t byteOffset = 0;
};

struct Launch {
  kernel::FuncOp kernel;
  llvm::SmallVector<Operand> operands;
};

/// What one fusion becomes.
struct LoweredFusion {
  /// Temporaries that live during the fusion only.
  llvm::SmallVector<mlir::MemRefType> temporaries;
  llvm::SmallVector<Launch> launches;
  /// (output, input) pairs that may share one buffer: each element of the input is read before, and by the same instance that
  /// writes, the output's element.
  llvm::SmallVector<std::pair<unsigned, unsigned>> inplace;
};

/// Ops that might become one fusion: a set that is closed under paths, in program order.
struct Candidate {
  llvm::ArrayRef<mlir::Operation *> ops;
  /// Results of the ops that are used outside of them.
  llvm::ArrayRef<mlir::Value> outputs;
  /// What the kernel is for; null: any target, so that nothing is accepted which only some can compute.
  const kernel::TargetTraits *traits = nullptr;
};

class KernelFamily {
public:
  virtual ~KernelFamily() = default;
  /// The fusion's `family` attribute.
  virtual llvm::StringRef getName() const = 0;
  /// Whether the family can compute the candidate in one fusion; if not, `reason` says why, for people.
  virtual bool accepts(const Candidate &candidate, std::string &reason) const = 0;
  /// Builds the kernels at `builder` (module level), named `name`, `name_1`, ... Errors are located on the fusion.
  virtual mlir::FailureOr<LoweredFusion> lower(graph::FusionOp fusion, mlir::OpBuilder &builder, llvm::StringRef name,
                                               const kernel::TargetTraits &traits) const = 0;
};

/// All families; the order is the order of preference among those that accept a candidate.
llvm::ArrayRef<const KernelFamily *> getFamilies();

/// The family of that name, or null.
const KernelFamily *findFamily(llvm::StringRef name);

} // namespace primus::kernels

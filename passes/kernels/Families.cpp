//===- Families.cpp - The table of kernel families ------------------------===//

#include "passes/kernels/Families.h"

using namespace primus;
using namespace primus::kernels;

llvm::ArrayRef<const KernelFamily *> kernels::getFamilies() {
  static const KernelFamily *const families[] = {
      // Products and whole composites
      getMatmulFamily(),
      getAttentionFamily(),
      getAttentionGradFamily(),
      getRopeFamily(),
      // Any group of elementwise ops and reductions
      getBlocksFamily(),
      getRowsFamily(),
      getTotalFamily(),
      getColumnsFamily(),
      getMarginsFamily(),
      // Movement of data
      getCopyFamily(),
      getTransposeFamily(),
      getScatterFamily(),
      getPackFamily(),
  };
  return families;
}

const KernelFamily *kernels::findFamily(llvm::StringRef name) {
  for (const KernelFamily *family : getFamilies())
    if (family->getName() == name)
      return family;
  return nullptr;
}

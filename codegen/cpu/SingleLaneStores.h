//===- SingleLaneStores.h - Masked stores of one known lane ------*- C++ -*-===//

#pragma once

namespace llvm {
class Module;
}

namespace primus::codegen {

/// Replaces masked stores whose constant mask has one lane by stores of that element. LLVM 22's x86 backend does the same
/// later, but when it has merged a truncation into the store, it writes the element before truncation: four bytes for a
/// bf16, two of them behind the end of the buffer.
void replaceSingleLaneStores(llvm::Module &module);

} // namespace primus::codegen

//===- HipPasses.cpp - Passes around the code generator -------------------===//

#include "codegen/hip/HipPasses.h"

#include "codegen/hip/Assembly.h"
#include "codegen/hip/KernelLowering.h"
#include "ir/kernel/TargetTraits.h"

#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/LLVMIR/ROCDLDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace primus::codegen::hip {
#define GEN_PASS_DEF_LOWERKERNELSTOAMDGPU
#define GEN_PASS_DEF_PRINTAMDGPUASSEMBLY
#include "codegen/hip/HipPasses.h.inc"
} // namespace primus::codegen::hip

using namespace mlir;
using namespace primus;
using namespace primus::codegen;

namespace {

struct LowerKernelsToAmdgpu : hip::impl::LowerKernelsToAmdgpuBase<LowerKernelsToAmdgpu> {
  void runOnOperation() override {
    if (failed(hip::lowerKernels(getOperation())))
      signalPassFailure();
  }
};

struct PrintAmdgpuAssembly : hip::impl::PrintAmdgpuAssemblyBase<PrintAmdgpuAssembly> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    std::string chip = kernel::TargetTraits::get(module).name;
    if (!StringRef(chip).starts_with("gfx")) {
      module.emitError("primus.target is \"") << chip << "\", which is no AMD GPU; set it to gfx942 or gfx950";
      return signalPassFailure();
    }
    for (Operation &op : llvm::make_early_inc_range(*module.getBody()))
      if (!isa<kernel::FuncOp>(op))
        op.erase();
    if (failed(hip::lowerKernels(module)))
      return signalPassFailure();
    FailureOr<std::string> assembly = hip::emitAssembly(module, chip);
    if (failed(assembly))
      return signalPassFailure();
    llvm::outs() << *assembly;
    module.getBody()->clear();
  }
};

} // namespace

//===- Assembly.cpp - Machine code for AMD GPUs ---------------------------===//

#include "codegen/hip/Assembly.h"

#include "codegen/common/ObjectCode.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/ExecutionEngine/OptUtils.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/ROCDL/ROCDLToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/Support/TargetSelect.h"

#include <mutex>

using namespace mlir;
using namespace primus::codegen;

static constexpr StringLiteral triple = "amdgcn-amd-amdhsa";

static void initialiseTarget() {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeAMDGPUTargetInfo();
    LLVMInitializeAMDGPUTarget();
    LLVMInitializeAMDGPUTargetMC();
    LLVMInitializeAMDGPUAsmPrinter();
  });
}

/// Positions and offsets are 32 bits: kernels address buffers of less than 4 GiB.
static LogicalResult convertToLLVM(ModuleOp module) {
  PassManager passes(module.getContext());
  passes.addPass(createSCFToControlFlowPass());
  passes.addPass(createConvertVectorToLLVMPass());
  passes.addPass(createConvertMathToLLVMPass());
  ArithToLLVMConversionPassOptions arith;
  arith.indexBitwidth = 32;
  passes.addPass(createArithToLLVMConversionPass(arith));
  ConvertControlFlowToLLVMPassOptions control;
  control.indexBitwidth = 32;
  passes.addPass(createConvertControlFlowToLLVMPass(control));
  passes.addPass(createReconcileUnrealizedCastsPass());
  return passes.run(module);
}

FailureOr<std::string> hip::emitAssembly(ModuleOp module, StringRef chip) {
  initialiseTarget();
  MLIRContext *context = module.getContext();
  registerBuiltinDialectTranslation(*context);
  registerLLVMDialectTranslation(*context);
  registerROCDLDialectTranslation(*context);
  if (failed(convertToLLVM(module)))
    return failure();

  auto machine = createMachine({triple.str(), chip.str(), ""});
  if (!machine)
    return module.emitError() << llvm::toString(machine.takeError());
  llvm::LLVMContext llvmContext;
  std::unique_ptr<llvm::Module> translated = translateModuleToLLVMIR(module, llvmContext);
  if (!translated)
    return failure();
  translated->setTargetTriple((*machine)->getTargetTriple());
  translated->setDataLayout((*machine)->createDataLayout());
  // All of LLVM's pipeline: rotated loops keep accumulators where the matrix instructions want them.
  auto optimise = makeOptimizingTransformer(/*optLevel=*/3, /*sizeLevel=*/0, machine->get());
  if (llvm::Error error = optimise(translated.get()))
    return module.emitError() << llvm::toString(std::move(error));
  auto assembly = emitCode(*translated, **machine, llvm::CodeGenFileType::AssemblyFile);
  if (!assembly)
    return module.emitError() << llvm::toString(assembly.takeError());
  return std::move(*assembly);
}

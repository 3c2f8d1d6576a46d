//===- Assembly.cpp - Machine code for AMD GPUs ---------------------------===//

#include "codegen/hip/Assembly.h"

#include "codegen/hip/KernelLowering.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/LLVMIR/ROCDLDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/ExecutionEngine/OptUtils.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/ROCDL/ROCDLToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/TargetSelect.h"

#include <mutex>

using namespace mlir;
using namespace primus::codegen;

static constexpr StringLiteral triple = "amdgcn-amd-amdhsa";

/// Nothing but options of the process says this to LLVM. The default changes, since LLD sets all options back to theirs.
static void turnOff(StringRef option) {
  auto &options = llvm::cl::getRegisteredOptions();
  auto found = options.find(option);
  if (found != options.end())
    static_cast<llvm::cl::opt<bool> *>(found->second)->setInitialValue(false);
}

static void initialiseTarget() {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeAMDGPUTargetInfo();
    LLVMInitializeAMDGPUTarget();
    LLVMInitializeAMDGPUTargetMC();
    LLVMInitializeAMDGPUAsmPrinter();
    // LLVM 22 takes the wrong sign for bytes that it folds into SDWA instructions: (float)(u16)(i8)(x >> 8) becomes a conversion of a
    // sign-extended byte from unsigned. No function attribute turns the pass off.
    turnOff("amdgpu-sdwa-peephole");
    // Sums that start as zeros would be carried through loops in pieces, and be put together for every matrix instruction.
    turnOff("amdgpu-codegenprepare-break-large-phis");
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
  if (failed(passes.run(module)))
    return failure();
  // What is said of a loop (LowerKernels.cpp) is then beside its branch's own attribute, where nothing reads it.
  module.walk([](LLVM::BrOp branch) {
    if (auto annotation = branch->getAttrOfType<LLVM::LoopAnnotationAttr>("llvm.loop_annotation"))
      branch.setLoopAnnotationAttr(annotation);
  });
  return success();
}

void hip::loadHipDialects(MLIRContext &context) {
  initialiseTarget();
  registerBuiltinDialectTranslation(context);
  registerLLVMDialectTranslation(context);
  registerROCDLDialectTranslation(context);
  context.loadDialect<arith::ArithDialect, cf::ControlFlowDialect, LLVM::LLVMDialect, math::MathDialect, ROCDL::ROCDLDialect,
                      scf::SCFDialect, vector::VectorDialect>();
  // Passes load what they need when they run first.
  OwningOpRef<ModuleOp> empty = ModuleOp::create(UnknownLoc::get(&context));
  (void)convertToLLVM(*empty);
}

/// Kernels take their own arguments only and know nothing of the launch but the numbers of the workgroup and the lane.
static void setConventions(llvm::Module &module) {
  // What ROCm 5 and later load.
  module.addModuleFlag(llvm::Module::Error, "amdhsa_code_object_version", 500);
  for (llvm::Function &function : module) {
    if (function.isDeclaration())
      continue;
    for (StringRef unused :
         {"dispatch-ptr", "queue-ptr", "dispatch-id", "implicitarg-ptr", "hostcall-ptr", "heap-ptr", "multigrid-sync-arg",
          "completion-action", "default-queue", "lds-kernel-id", "flat-scratch-init", "workgroup-id-y", "workgroup-id-z",
          "workitem-id-y", "workitem-id-z"})
      function.addFnAttr(("amdgpu-no-" + unused).str());
    function.addFnAttr("uniform-work-group-size", "true");
    function.addFnAttr("denormal-fp-math-f32", "ieee,ieee");
    function.addFnAttr(llvm::Attribute::NoUnwind);
  }
}

FailureOr<TranslatedModule> hip::translate(ModuleOp module, StringRef chip, llvm::LLVMContext &context) {
  if (failed(convertToLLVM(module)))
    return failure();
  TranslatedModule result;
  auto machine = createMachine({triple.str(), chip.str(), ""});
  if (!machine)
    return module.emitError() << llvm::toString(machine.takeError());
  result.machine = std::move(*machine);
  result.module = translateModuleToLLVMIR(module, context);
  if (!result.module)
    return failure();
  result.module->setTargetTriple(result.machine->getTargetTriple());
  result.module->setDataLayout(result.machine->createDataLayout());
  setConventions(*result.module);
  // All of LLVM's pipeline: rotated loops keep accumulators where the matrix instructions want them.
  auto optimise = makeOptimizingTransformer(/*optLevel=*/3, /*sizeLevel=*/0, result.machine.get());
  if (llvm::Error error = optimise(result.module.get()))
    return module.emitError() << llvm::toString(std::move(error));
  return result;
}

FailureOr<TranslatedModule> hip::translateKernel(kernel::FuncOp kernel, StringRef chip, llvm::LLVMContext &context) {
  OwningOpRef<ModuleOp> module = ModuleOp::create(kernel.getLoc());
  OpBuilder builder = OpBuilder::atBlockEnd(module->getBody());
  (*module)->setAttr("primus.target", builder.getStringAttr(chip));
  builder.clone(*kernel);
  if (failed(lowerKernels(*module)))
    return failure();
  return translate(*module, chip, context);
}

FailureOr<std::string> hip::emitAssembly(ModuleOp module, StringRef chip) {
  loadHipDialects(*module.getContext());
  llvm::LLVMContext context;
  FailureOr<TranslatedModule> translated = translate(module, chip, context);
  if (failed(translated))
    return failure();
  auto assembly = emitCode(*translated->module, *translated->machine, llvm::CodeGenFileType::AssemblyFile);
  if (!assembly)
    return module.emitError() << llvm::toString(assembly.takeError());
  return std::move(*assembly);
}

//===- ObjectCode.cpp - LLVM modules to object files ----------------------===//

#include "codegen/common/ObjectCode.h"

#include "llvm/Analysis/CGSCCPassManager.h"
#include "llvm/Analysis/LoopAnalysisManager.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/PassManager.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Transforms/InstCombine/InstCombine.h"
#include "llvm/Transforms/Scalar/ADCE.h"
#include "llvm/Transforms/Scalar/EarlyCSE.h"
#include "llvm/Transforms/Scalar/GVN.h"
#include "llvm/Transforms/Scalar/IndVarSimplify.h"
#include "llvm/Transforms/Scalar/LICM.h"
#include "llvm/Transforms/Scalar/LoopPassManager.h"
#include "llvm/Transforms/Scalar/SimplifyCFG.h"

using namespace llvm;
using namespace primus;

Expected<std::unique_ptr<TargetMachine>> codegen::createMachine(const MachineOptions &options) {
  std::string error;
  Triple triple(options.triple);
  const Target *target = TargetRegistry::lookupTarget(triple, error);
  if (!target)
    return createStringError("no code generator for %s: %s", options.triple.c_str(), error.c_str());
  std::unique_ptr<TargetMachine> machine(target->createTargetMachine(triple, options.cpu, options.features, TargetOptions(),
                                                                     Reloc::PIC_, CodeModel::Small,
                                                                     CodeGenOptLevel::Default));
  if (!machine)
    return createStringError("no target machine for %s", options.triple.c_str());
  return machine;
}

void codegen::optimise(Module &module, TargetMachine &machine) {
  LoopAnalysisManager loops;
  FunctionAnalysisManager functions;
  CGSCCAnalysisManager callGraph;
  ModuleAnalysisManager modules;
  PassBuilder builder(&machine);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(callGraph);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, callGraph, modules);

  FunctionPassManager pipeline;
  pipeline.addPass(EarlyCSEPass());
  pipeline.addPass(SimplifyCFGPass());
  pipeline.addPass(InstCombinePass());
  LoopPassManager loopPipeline;
  loopPipeline.addPass(LICMPass(LICMOptions()));
  loopPipeline.addPass(IndVarSimplifyPass());
  pipeline.addPass(createFunctionToLoopPassAdaptor(std::move(loopPipeline), /*UseMemorySSA=*/true));
  pipeline.addPass(GVNPass());
  pipeline.addPass(InstCombinePass());
  pipeline.addPass(ADCEPass());
  pipeline.addPass(SimplifyCFGPass());
  for (Function &function : module)
    if (!function.isDeclaration())
      pipeline.run(function, functions);
}

Expected<std::string> codegen::emitCode(Module &module, TargetMachine &machine, CodeGenFileType kind) {
  SmallString<0> buffer;
  raw_svector_ostream stream(buffer);
  legacy::PassManager passes;
  if (machine.addPassesToEmitFile(passes, stream, nullptr, kind))
    return createStringError("the target machine cannot write this kind of file");
  passes.run(module);
  return std::string(buffer);
}

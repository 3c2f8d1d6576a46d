//===- TestCode.cpp - Code objects from assembly and LLVM IR --------------===//

#include "tests/emulator/TestCode.h"

#include "codegen/common/Linker.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/AsmParser/Parser.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IRReader/IRReader.h"
#include "llvm/MC/MCAsmBackend.h"
#include "llvm/MC/MCAsmInfo.h"
#include "llvm/MC/MCCodeEmitter.h"
#include "llvm/MC/MCContext.h"
#include "llvm/MC/MCInstrInfo.h"
#include "llvm/MC/MCObjectFileInfo.h"
#include "llvm/MC/MCObjectWriter.h"
#include "llvm/MC/MCParser/MCAsmParser.h"
#include "llvm/MC/MCParser/MCTargetAsmParser.h"
#include "llvm/MC/MCRegisterInfo.h"
#include "llvm/MC/MCStreamer.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"

#include <gtest/gtest.h>

using namespace llvm;
using namespace primus::emulator;

StringRef primus::emulator::getChipName(Chip chip) { return chip == Chip::Gfx942 ? "gfx942" : "gfx950"; }

static const Target &getTarget() {
  static const Target &target = []() -> const Target & {
    LLVMInitializeAMDGPUTargetInfo();
    LLVMInitializeAMDGPUTarget();
    LLVMInitializeAMDGPUTargetMC();
    LLVMInitializeAMDGPUAsmParser();
    LLVMInitializeAMDGPUAsmPrinter();
    std::string error;
    const Target *found = TargetRegistry::lookupTarget(Triple("amdgcn-amd-amdhsa"), error);
    if (!found)
      report_fatal_error(error.c_str());
    return *found;
  }();
  return target;
}

/// A defect of the test itself ends the program: nothing after it would make sense.
static std::string link(std::string object) { return cantFail(primus::codegen::linkSharedObject({std::move(object)})); }

CodeObject primus::emulator::assemble(Chip chip, const std::string &text) {
  const Target &target = getTarget();
  Triple triple("amdgcn-amd-amdhsa");
  MCTargetOptions options;
  std::unique_ptr<MCRegisterInfo> registers(target.createMCRegInfo(triple));
  std::unique_ptr<MCAsmInfo> assembly(target.createMCAsmInfo(*registers, triple, options));
  std::unique_ptr<MCInstrInfo> instructions(target.createMCInstrInfo());
  std::unique_ptr<MCSubtargetInfo> subtarget(target.createMCSubtargetInfo(triple, getChipName(chip), ""));
  SourceMgr sources;
  sources.AddNewSourceBuffer(MemoryBuffer::getMemBuffer(text), SMLoc());
  MCContext context(triple, assembly.get(), registers.get(), subtarget.get(), &sources, &options);
  std::unique_ptr<MCObjectFileInfo> files(target.createMCObjectFileInfo(context, /*PIC=*/true));
  context.setObjectFileInfo(files.get());
  SmallString<0> object;
  raw_svector_ostream stream(object);
  std::unique_ptr<MCCodeEmitter> emitter(target.createMCCodeEmitter(*instructions, context));
  std::unique_ptr<MCAsmBackend> backend(target.createMCAsmBackend(*subtarget, *registers, options));
  std::unique_ptr<MCObjectWriter> writer = backend->createObjectWriter(stream);
  std::unique_ptr<MCStreamer> streamer(
      target.createMCObjectStreamer(triple, context, std::move(backend), std::move(writer), std::move(emitter), *subtarget));
  std::unique_ptr<MCAsmParser> parser(createMCAsmParser(sources, context, *streamer, *assembly));
  std::unique_ptr<MCTargetAsmParser> targetParser(target.createMCAsmParser(*subtarget, *parser, *instructions, options));
  parser->setTargetParser(*targetParser);
  if (parser->Run(/*NoInitialTextSection=*/false))
    report_fatal_error("the assembly of a test has errors");
  return cantFail(CodeObject::load(link(object.str().str())));
}

CodeObject primus::emulator::assembleKernel(Chip chip, const KernelText &text) {
  std::string arguments;
  for (unsigned i = 0; i < text.pointers; ++i)
    arguments += formatv("      - {{ .offset: {0}, .size: 8, .value_kind: global_buffer, .address_space: global }\n", 8 * i);
  return assemble(chip, formatv(R"(
.amdgcn_target "amdgcn-amd-amdhsa--{0}"
.text
.globl k
.p2align 8
.type k,@function
k:
{1}
s_endpgm
.rodata
.p2align 6
.amdhsa_kernel k
  .amdhsa_group_segment_fixed_size {2}
  .amdhsa_kernarg_size {3}
  .amdhsa_user_sgpr_kernarg_segment_ptr 1
  .amdhsa_next_free_vgpr 512
  .amdhsa_next_free_sgpr 96
  .amdhsa_accum_offset 256
  .amdhsa_float_denorm_mode_32 3
.end_amdhsa_kernel
.amdgpu_metadata
amdhsa.version: [ 1, 2 ]
amdhsa.kernels:
  - .name: k
    .symbol: k.kd
    .kernarg_segment_size: {3}
    .kernarg_segment_align: 8
    .group_segment_fixed_size: {2}
    .private_segment_fixed_size: 0
    .wavefront_size: 64
    .sgpr_count: 96
    .vgpr_count: 512
    .max_flat_workgroup_size: 1024
    .args:
{4}
.end_amdgpu_metadata
)",
                                getChipName(chip), text.body, text.ldsBytes, 8 * text.pointers, arguments)
                            .str());
}

std::string primus::emulator::compileToFile(Chip chip, Module &module, unsigned level) {
  Triple triple("amdgcn-amd-amdhsa");
  std::unique_ptr<TargetMachine> machine(getTarget().createTargetMachine(triple, getChipName(chip), "", {}, Reloc::PIC_));
  module.setTargetTriple(triple);
  module.setDataLayout(machine->createDataLayout());
  LoopAnalysisManager loops;
  FunctionAnalysisManager functions;
  CGSCCAnalysisManager graphs;
  ModuleAnalysisManager modules;
  PassBuilder builder(machine.get());
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(graphs);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, graphs, modules);
  builder.buildPerModuleDefaultPipeline(level >= 2 ? OptimizationLevel::O2 : OptimizationLevel::O1).run(module, modules);
  SmallString<0> object;
  raw_svector_ostream stream(object);
  legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, stream, nullptr, CodeGenFileType::ObjectFile))
    report_fatal_error("the target emits no object files");
  passes.run(module);
  return link(object.str().str());
}

std::string primus::emulator::compileToFile(Chip chip, const std::string &ir, unsigned level) {
  LLVMContext context;
  SMDiagnostic diagnostic;
  std::unique_ptr<Module> module = parseAssemblyString(ir, diagnostic, context);
  if (!module) {
    diagnostic.print("test", errs());
    report_fatal_error("the IR of a test has errors");
  }
  return compileToFile(chip, *module, level);
}

CodeObject primus::emulator::compile(Chip chip, Module &module, unsigned level) {
  return cantFail(CodeObject::load(compileToFile(chip, module, level)));
}
CodeObject primus::emulator::compile(Chip chip, const std::string &ir, unsigned level) {
  return cantFail(CodeObject::load(compileToFile(chip, ir, level)));
}

std::vector<std::vector<uint32_t>> primus::emulator::runLanes(Chip chip, const std::string &body,
                                                              const std::vector<std::vector<uint32_t>> &inputs, unsigned results) {
  // Both buffers are [workgroup][register][lane].
  size_t count = inputs.empty() ? 64 : inputs[0].size(), groups = count / 64, registers = inputs.size();
  std::vector<uint32_t> packed(count * registers);
  for (size_t i = 0; i < count; ++i)
    for (size_t r = 0; r < registers; ++r)
      packed[(i / 64 * registers + r) * 64 + i % 64] = inputs[r][i];
  std::string text = formatv(R"(
s_load_dwordx4 s[4:7], s[0:1], 0x0
v_lshlrev_b32_e32 v1, 2, v0
s_waitcnt lgkmcnt(0)
s_mul_i32 s8, s2, {0}
s_mul_i32 s9, s2, {1}
s_add_u32 s4, s4, s8
s_addc_u32 s5, s5, 0
s_add_u32 s6, s6, s9
s_addc_u32 s7, s7, 0
)",
                             256 * registers, 256 * results);
  for (size_t r = 0; r < registers; ++r)
    text += formatv("global_load_dword v{0}, v1, s[4:5] offset:{1}\n", 10 + r, 256 * r);
  text += "s_waitcnt vmcnt(0)\n" + body + "\ns_waitcnt vmcnt(0) lgkmcnt(0)\n";
  for (unsigned r = 0; r < results; ++r)
    text += formatv("global_store_dword v1, v{0}, s[6:7] offset:{1}\n", 40 + r, 256 * r);
  Buffer in("in", ArrayRef<uint32_t>(packed)), out("out", count * results * 4);
  CodeObject object = assembleKernel(chip, {text});
  auto statistics = launch(object, "k", {uint32_t(groups)}, {64},
                           {KernelArgument::pointer(in, Access::Read), KernelArgument::pointer(out, Access::Write)});
  if (!statistics) {
    ADD_FAILURE() << toString(statistics.takeError());
    return std::vector<std::vector<uint32_t>>(results, std::vector<uint32_t>(count));
  }
  std::vector<uint32_t> written = out.read<uint32_t>();
  std::vector<std::vector<uint32_t>> values(results, std::vector<uint32_t>(count));
  for (size_t i = 0; i < count; ++i)
    for (unsigned r = 0; r < results; ++r)
      values[r][i] = written[(i / 64 * results + r) * 64 + i % 64];
  return values;
}

std::string primus::emulator::getError(Expected<Statistics> result) {
  if (result) {
    ADD_FAILURE() << "the launch succeeded";
    return "";
  }
  return toString(result.takeError());
}

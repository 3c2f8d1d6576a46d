//===- CompileExecutable.cpp - From the step phase to an executable -------===//

#include "codegen/CompileExecutable.h"

#include "codegen/common/EmitExecutable.h"
#include "codegen/cpu/CompileKernels.h"
#include "codegen/hip/CompileKernels.h"

#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace primus;
using namespace primus::codegen;

static constexpr StringLiteral targets[] = {"cpu", "gfx942", "gfx950"};

ArrayRef<StringLiteral> codegen::getTargets() { return targets; }

static llvm::Expected<CpuTarget> getCpuTarget(ModuleOp module) {
  auto features = module->getAttrOfType<ArrayAttr>("primus.cpu_features");
  if (!features)
    return CpuTarget::host();
  SmallVector<StringRef> names;
  for (auto name : features.getAsRange<StringAttr>())
    names.push_back(name.getValue());
  return CpuTarget::parse(llvm::join(names, ","));
}

static LogicalResult compileForCpu(ModuleOp module, const CompileOptions &options, executable::Executable &result) {
  llvm::Expected<CpuTarget> target = getCpuTarget(module);
  if (!target)
    return module.emitError() << llvm::toString(target.takeError());
  FailureOr<std::string> code = compileKernels(module, *target, options);
  if (failed(code) || failed(emitExecutable(module, result)))
    return failure();
  result.set_code(std::move(*code));
  result.set_target("cpu");
  for (const std::string &feature : target->features)
    result.add_cpu_features(feature);
  return success();
}

static LogicalResult compileForGpu(ModuleOp module, StringRef chip, const CompileOptions &options, executable::Executable &result) {
  FailureOr<std::vector<hip::CompiledKernel>> compiled = hip::compileKernels(module, chip, options);
  if (failed(compiled) || failed(emitExecutable(module, result)))
    return failure();
  result.set_target(chip.str());
  for (auto [kernel, code] : llvm::zip_equal(*result.mutable_kernels(), *compiled)) {
    kernel.set_code_object(result.code_objects_size());
    result.add_code_objects(std::move(code.codeObject));
    for (int64_t size : {code.resources.workgroupSize, int64_t(1), int64_t(1)})
      kernel.add_block(size);
    kernel.set_lds_bytes(code.resources.ldsBytes);
    executable::Resources &resources = *kernel.mutable_resources();
    resources.set_vector_registers(code.resources.vectorRegisters);
    resources.set_accumulator_registers(code.resources.accumulatorRegisters);
    resources.set_scalar_registers(code.resources.scalarRegisters);
    resources.set_scratch_bytes(code.resources.scratchBytes);
    resources.set_spills(code.resources.spills);
    resources.set_waves_per_simd(hip::getWavesPerSimd(code.resources, chip));
  }
  return success();
}

LogicalResult codegen::compileExecutable(ModuleOp module, const CompileOptions &options, executable::Executable &result) {
  auto attribute = module->getAttrOfType<StringAttr>("primus.target");
  StringRef target = attribute ? attribute.getValue() : "cpu";
  if (!llvm::is_contained(targets, target))
    return module.emitError() << "there is no target '" << target << "'; the targets are " << llvm::join(getTargets(), ", ");
  return target == "cpu" ? compileForCpu(module, options, result) : compileForGpu(module, target, options, result);
}

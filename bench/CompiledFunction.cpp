//===- CompiledFunction.cpp - A graph function as compiled kernels --------===//

#include "bench/CompiledFunction.h"

#include "codegen/cpu/CompileKernels.h"
#include "passes/Passes.h"
#include "passes/kernels/KernelFamily.h"

#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/ErrorHandling.h"

#include <cstring>

using namespace mlir;
using namespace primus;
using namespace primus::bench;

Buffer::Buffer(size_t bytes) {
  constexpr size_t page = 4096;
  size_t rounded = (bytes + page - 1) / page * page;
  memory.reset(static_cast<char *>(std::aligned_alloc(page, rounded)));
  std::memset(memory.get(), 0, rounded);
}

static size_t getByteSize(ShapedType type) { return type.getNumElements() * type.getElementTypeBitWidth() / 8; }

static void require(bool condition, const char *what) {
  if (!condition)
    llvm::reportFatalUsageError(what);
}

CompiledFunction::CompiledFunction(const std::string &source, const codegen::CpuTarget &target) {
  DialectRegistry registry;
  registerDialects(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  auto module = parseSourceString<ModuleOp>(source, &context);
  require(bool(module), "the function does not parse");
  Builder attributes(&context);
  (*module)->setAttr("primus.cpu_features",
                     attributes.getStrArrayAttr(SmallVector<StringRef>(target.features.begin(), target.features.end())));
  PassManager passes(&context);
  passes.addPass(createFormFusions());
  passes.addPass(createPackOperands());
  require(succeeded(passes.run(*module)), "the function cannot be fused");

  auto function = module->lookupSymbol<func::FuncOp>("f");
  llvm::DenseMap<Value, unsigned> places;
  auto place = [&](Value value) {
    places[value] = buffers.size();
    buffers.emplace_back(getByteSize(cast<ShapedType>(value.getType())));
  };
  for (BlockArgument argument : function.getArguments())
    place(argument);
  inputs = function.getNumArguments();

  OwningOpRef<ModuleOp> kernels = ModuleOp::create(module->getLoc());
  OpBuilder builder = OpBuilder::atBlockEnd(kernels->getBody());
  kernel::TargetTraits traits = kernel::TargetTraits::forCpu(target.features);
  std::vector<std::string> symbols;
  for (Operation &op : function.front().without_terminator()) {
    if (isa<graph::ReshapeOp>(op)) {
      places[op.getResult(0)] = places.lookup(op.getOperand(0));
      continue;
    }
    auto fusion = dyn_cast<graph::FusionOp>(op);
    require(bool(fusion), "the function has ops beside fusions and reshapes");
    const kernels::KernelFamily *family = primus::kernels::findFamily(fusion.getFamily());
    require(family, "a fusion has no family");
    auto lowered = family->lower(fusion, builder, "kernel" + std::to_string(launches.size() * 10), traits);
    require(succeeded(lowered), "a fusion cannot be lowered");
    for (Value result : fusion.getResults())
      place(result);
    unsigned temporaries = buffers.size();
    for (MemRefType type : lowered->temporaries)
      buffers.emplace_back(getByteSize(type));
    for (primus::kernels::Launch &launch : lowered->launches) {
      Launch &made = launches.emplace_back();
      symbols.push_back(launch.kernel.getSymName().str());
      made.instances = 1;
      for (int64_t size : launch.kernel.getGrid())
        made.instances *= size;
      for (const primus::kernels::Operand &operand : launch.operands) {
        using Kind = primus::kernels::Operand;
        unsigned buffer = operand.kind == Kind::Input    ? places.lookup(fusion.getInputs()[operand.index])
                          : operand.kind == Kind::Output ? places.lookup(fusion.getResult(operand.index))
                                                         : temporaries + operand.index;
        made.arguments.push_back(buffers[buffer].data() + operand.byteOffset);
      }
    }
  }
  outputBuffer = places.lookup(function.front().getTerminator()->getOperand(0));

  FailureOr<std::string> object = codegen::compileKernels(*kernels, target);
  require(succeeded(object), "the kernels cannot be compiled");
  auto opened = runtime::SharedObject::open(*object);
  require(bool(opened), "the kernels cannot be opened");
  code = std::move(*opened);
  for (auto [launch, symbol] : llvm::zip(launches, symbols))
    launch.function = reinterpret_cast<decltype(launch.function)>(const_cast<void *>(code->find(symbol)));
}

void CompiledFunction::runLaunch(unsigned index) const {
  const Launch &launch = launches[index];
  launch.function(launch.arguments.data(), 0, launch.instances);
}

void CompiledFunction::run() const {
  for (unsigned i = 0; i < launches.size(); ++i)
    runLaunch(i);
}

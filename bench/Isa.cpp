//===- Isa.cpp - Main loops of GPU kernels against their bounds -----------===//
//
// Compiles products and attention for gfx942 and gfx950 and reads what bounds their main loops (IsaBounds.h); no GPU
// runs. Counters: `share` is the share of the matrix units' time that is used, by the bounds alone; `simulated` the
// share when waves issue in order and wait for what they need; `waves` those on a SIMD, `scratch` bytes of a lane; the
// others are cycles per iteration and wave.
//
//===----------------------------------------------------------------------===//

#include "bench/IsaBounds.h"
#include "bench/IsaSimulation.h"
#include "codegen/hip/CompileKernels.h"
#include "passes/Passes.h"
#include "passes/kernels/KernelFamily.h"

#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

using namespace mlir;
using namespace primus;
using namespace primus::bench;

namespace {

struct Kernel {
  std::string name, assembly;
  codegen::hip::KernelResources resources;
};

} // namespace

/// All kernels of the function @f of `source`; none after an error, which the compiler has printed.
static std::vector<Kernel> compileFunction(const std::string &source, const std::string &chip) {
  DialectRegistry registry;
  registerDialects(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  auto module = parseSourceString<ModuleOp>(source, &context);
  if (!module)
    return {};
  (*module)->setAttr("primus.target", StringAttr::get(&context, chip));
  PassManager passes(&context);
  passes.addPass(createFormFusions());
  passes.addPass(createPackOperands());
  if (failed(passes.run(*module)))
    return {};

  OwningOpRef<ModuleOp> kernels = ModuleOp::create(module->getLoc());
  OpBuilder builder = OpBuilder::atBlockEnd(kernels->getBody());
  kernel::TargetTraits traits = kernel::TargetTraits::get(*module);
  unsigned number = 0;
  for (auto fusion : module->lookupSymbol<func::FuncOp>("f").getOps<graph::FusionOp>()) {
    const kernels::KernelFamily *family = primus::kernels::findFamily(fusion.getFamily());
    if (!family || failed(family->lower(fusion, builder, fmt::format("{}{}", fusion.getFamily().str(), number++), traits)))
      return {};
  }
  llvm::StringMap<std::string> assembly;
  codegen::CompileOptions options;
  options.dump = [&](StringRef kernel, StringRef extension, StringRef contents) {
    if (extension == "s")
      assembly[kernel] = contents.str();
  };
  auto compiled = codegen::hip::compileKernels(*kernels, chip, options);
  if (failed(compiled))
    return {};
  std::vector<Kernel> result;
  for (auto [kernel, code] : llvm::zip(kernels->getOps<kernel::FuncOp>(), *compiled))
    result.push_back({kernel.getName().str(), assembly[kernel.getName()], code.resources});
  return result;
}

/// The kernel whose main loop multiplies most.
static std::optional<std::pair<Kernel, LoopBounds>> findMain(const std::vector<Kernel> &kernels, const std::string &chip) {
  std::optional<std::pair<Kernel, LoopBounds>> main;
  for (const Kernel &kernel : kernels)
    if (std::optional<LoopBounds> bounds = readLoopBounds(kernel.assembly, kernel.name, kernel.resources, chip))
      if (!main || bounds->cycles[LoopBounds::Matrix] > main->second.cycles[LoopBounds::Matrix])
        main = {kernel, *bounds};
  return main;
}

static void readIsa(benchmark::State &state, const std::string &source, const std::string &chip) {
  std::optional<std::pair<Kernel, LoopBounds>> main;
  for (auto _ : state)
    main = findMain(compileFunction(source, chip), chip);
  if (!main)
    return state.SkipWithError("the function has no kernel with a loop for this chip");
  const LoopBounds &bounds = main->second;
  for (auto [name, cycles] : llvm::zip(LoopBounds::names, bounds.cycles))
    state.counters[name] = cycles;
  state.counters["share"] = bounds.getMatrixShare();
  state.counters["simulated"] = simulateLoop(bounds);
  state.counters["waves"] = bounds.occupancy;
  state.counters["scratch"] = main->first.resources.scratchBytes;
  state.SetLabel(fmt::format("{}: bound by {}, {} of {} instructions multiply", main->first.name,
                             LoopBounds::names[bounds.getBound()], bounds.matrixInstructions, bounds.loop.size()));
}

static std::string makeProduct(const std::string &spec, int m, int n, int k, const std::string &element, const std::string &result) {
  auto type = [&](const std::string &letters, const std::string &element) {
    std::string text = "tensor<";
    for (char letter : letters)
      text += fmt::format("{}x", letter == 'm' ? m : letter == 'n' ? n : k);
    return text + element + ">";
  };
  std::string a = type(spec.substr(0, 2), element), w = type(spec.substr(3, 2), element), y = type("mn", result);
  return fmt::format("func.func @f(%a: {0}, %w: {1}) -> {2} attributes {{graph.layer = {{}}}} {{\n"
                     "  %y = graph.matmul \"{3}->mn\" %a, %w : ({0}, {1}) -> {2}\n  return %y : {2}\n}}",
                     a, w, y, spec);
}

/// A product that quantises and measures what it gives, as delayed scaling has it.
static std::string makeMeasuredProduct(int m, int n, int k, const std::string &element) {
  auto type = [&](int rows, int columns, const std::string &element) { return fmt::format("tensor<{}x{}x{}>", rows, columns, element); };
  std::string a = type(m, k, element), w = type(n, k, element), y = type(m, n, "bf16"), q = type(m, n, element);
  return fmt::format("func.func @f(%a: {0}, %w: {1}, %s: tensor<f32>) -> ({3}, tensor<f32>) attributes {{graph.layer = {{}}}} {{\n"
                     "  %y = graph.matmul \"mk,nk->mn\" %a, %w : ({0}, {1}) -> {2}\n  %q = graph.quantize %y, %s : {2}, tensor<f32> -> {3}\n"
                     "  %m = graph.amax %y : {2} -> tensor<f32>\n  return %q, %m : {3}, tensor<f32>\n}}",
                     a, w, y, q);
}

static std::string makeAttention(int tokens, int heads, int width) {
  std::string x = fmt::format("tensor<1x{}x{}x{}xbf16>", tokens, heads, width), l = fmt::format("tensor<1x{}x{}xf32>", heads, tokens);
  return fmt::format("func.func @f(%q: {0}, %k: {0}, %v: {0}) -> ({0}, {1}) attributes {{graph.layer = {{}}}} {{\n"
                     "  %o, %l = graph.attention %q, %k, %v scale 0.088 {{causal}} : {0}, {0} -> {0}, {1}\n  return %o, %l : {0}, {1}\n}}",
                     x, l);
}

/// A product whose factors change every `block` values of k, and, those of the right operand, every `wide` columns.
static std::string makeScaledProduct(const std::string &spec, int m, int n, int k, const std::string &element, int block, int wide,
                                     const std::string &factor) {
  bool inRows = spec.ends_with("kn");
  std::string a = fmt::format("tensor<{}x{}x{}>", m, k, element), fa = fmt::format("tensor<{}x{}x{}>", m, k / block, factor),
              w = fmt::format("tensor<{}x{}x{}>", inRows ? k : n, inRows ? n : k, element),
              fw = fmt::format("tensor<{}x{}x{}>", inRows ? k / block : n / wide, inRows ? n / wide : k / block, factor),
              y = fmt::format("tensor<{}x{}xbf16>", m, n);
  return fmt::format("func.func @f(%a: {0}, %fa: {1}, %w: {2}, %fw: {3}) -> {4} attributes {{graph.layer = {{}}}} {{\n"
                     "  %y = graph.scaled_matmul \"{5}->mn\" %a by %fa, %w by %fw : ({0}, {1}, {2}, {3}) -> {4}\n  return %y : {4}\n}}",
                     a, fa, w, fw, y, spec);
}

static const bool registered = [] {
  for (std::string chip : {"gfx942", "gfx950"}) {
    std::string fp8 = chip == "gfx942" ? "f8E4M3FNUZ" : "f8E4M3FN";
    std::vector<std::pair<std::string, std::string>> subjects = {
        {"product_bf16", makeProduct("mk,nk", 4096, 4096, 4096, "bf16", "bf16")},
        {"product_bf16_input_gradient", makeProduct("mk,kn", 4096, 4096, 4096, "bf16", "bf16")},
        {"product_bf16_weight_gradient", makeProduct("km,kn", 4096, 4096, 4096, "bf16", "bf16")},
        {"product_fp8", makeProduct("mk,nk", 4096, 4096, 4096, fp8, "bf16")},
        {"product_fp8_input_gradient", makeProduct("mk,kn", 4096, 4096, 4096, fp8, "bf16")},
        {"product_fp8_weight_gradient", makeProduct("km,kn", 4096, 4096, 4096, fp8, "bf16")},
        {"product_fp8_measured", makeMeasuredProduct(4096, 4096, 4096, fp8)},
        // As in DeepSeek-V3
        {"product_fp8_blockwise", makeScaledProduct("mk,nk", 4096, 4096, 4096, fp8, 128, 128, "f32")},
        {"product_fp8_blockwise_input_gradient", makeScaledProduct("mk,kn", 4096, 4096, 4096, fp8, 128, 128, "f32")},
        {"product_fp8_blockwise_weight_gradient", makeScaledProduct("mk,nk", 4096, 4096, 4096, fp8, 128, 1, "f32")},
        {"product_f32", makeProduct("mk,nk", 4096, 4096, 4096, "f32", "f32")},
        {"attention_bf16", makeAttention(4096, 16, 128)},
    };
    if (chip == "gfx950")
      subjects.emplace_back("product_mxfp8", makeScaledProduct("mk,nk", 4096, 4096, 4096, fp8, 32, 1, "f8E8M0FNU"));
    for (const auto &[name, source] : subjects)
      benchmark::RegisterBenchmark(fmt::format("isa/{}/{}", name, chip).c_str(),
                                   [source = source, chip](benchmark::State &state) { readIsa(state, source, chip); })
          ->Iterations(1)
          ->Unit(benchmark::kMillisecond);
  }
  return true;
}();

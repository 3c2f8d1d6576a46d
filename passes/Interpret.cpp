//===- Interpret.cpp - Run a function and print its results ---------------===//

#include "ir/interpreter/Interpreter.h"
#include "passes/Passes.h"
#include "runtime/init/Philox.h"

namespace primus {
#define GEN_PASS_DEF_INTERPRET
#include "passes/Passes.h.inc"
} // namespace primus

using namespace mlir;
using namespace primus::interpreter;

namespace {

/// Inputs draw from streams that no variable has.
constexpr uint64_t kInputStreams = uint64_t{1} << 62;

struct Interpret : primus::impl::InterpretBase<Interpret> {
  using Base::Base;

  void runOnOperation() override {
    markAllAnalysesPreserved();
    if (failed(interpret()))
      signalPassFailure();
  }

  LogicalResult interpret() {
    ModuleOp module = getOperation();
    if (mode != "exact" && mode != "faithful")
      return module.emitError() << "option mode is '" << mode << "'; expected exact or faithful";
    if (integerBound <= 0)
      return module.emitError() << "option integer-bound is " << integerBound.getValue()
                                << "; expected a positive number";
    auto target = module.lookupSymbol<func::FuncOp>(function);
    if (!target)
      return module.emitError() << "has no function '" << function << "'; name one with option function";

    Interpreter interpreter(module, mode == "exact" ? Mode::Exact : Mode::Faithful);
    SmallVector<Tensor> inputs;
    for (auto [index, type] : llvm::enumerate(target.getArgumentTypes())) {
      auto tensor = dyn_cast<RankedTensorType>(type);
      FailureOr<Tensor> input = Tensor::make(target, tensor ? interpreter.getWholeType(tensor) : type);
      if (failed(input))
        return failure();
      fill(*input, index);
      inputs.push_back(std::move(*input));
    }
    if (failed(interpreter.initializeVariables(seed)))
      return failure();
    FailureOr<SmallVector<Tensor>> results = interpreter.run(function, inputs);
    if (failed(results))
      return failure();

    // Comments, so that standard output as a whole is still a module.
    for (auto [index, result] : llvm::enumerate(*results)) {
      llvm::outs() << "// " << function << " result " << index << " : " << result.getType() << " = ";
      result.print(llvm::outs());
      llvm::outs() << "\n";
    }
    return success();
  }

  /// Fills with normally distributed floats, or with integers in [0, integer-bound).
  void fill(Tensor &input, uint64_t index) const {
    const bool isFloat = isa<FloatType>(input.elementType);
    const uint64_t stream = kInputStreams + index, bound = integerBound;
    for (auto [i, value] : llvm::enumerate(input.values))
      value = isFloat ? static_cast<float>(primus::runtime::standardNormal(seed, stream, i))
                      : primus::runtime::philox(seed, stream, i)[0] % bound;
  }
};

} // namespace

//===- Elementwise.cpp - Primitives that work on each element -------------===//

#include "ir/graph/GraphDialect.h"
#include "ir/interpreter/Primitives.h"

#include <cmath>

using namespace mlir;
using namespace primus::graph;
using namespace primus::interpreter;

template <typename OpT, double (*function)(double)> static void addUnary(PrimitiveTable &table) {
  table[OpT::getOperationName()] = [](Operation *, ArrayRef<const Tensor *> operands, MutableArrayRef<Tensor> results) {
    llvm::transform(operands[0]->values, results[0].values.begin(), [](double x) { return function(x); });
    return success();
  };
}

template <typename OpT, double (*function)(double, double)> static void addBinary(PrimitiveTable &table) {
  table[OpT::getOperationName()] = [](Operation *, ArrayRef<const Tensor *> operands, MutableArrayRef<Tensor> results) {
    for (auto [result, a, b] : llvm::zip_equal(results[0].values, operands[0]->values, operands[1]->values))
      result = function(a, b);
    return success();
  };
}

static double negate(double x) { return -x; }
static double reciprocalSqrt(double x) { return 1 / std::sqrt(x); }
// e^-x overflows to infinity for large negative x, which gives the right 0.
static double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

static double addValues(double a, double b) { return a + b; }
static double subtract(double a, double b) { return a - b; }
static double multiply(double a, double b) { return a * b; }
// Not a number if either operand is, as the kernels' instructions have it.
static double maximum(double a, double b) { return std::isnan(a) || a > b ? a : b; }
static double minimum(double a, double b) { return std::isnan(a) || a < b ? a : b; }

static LogicalResult evaluateDiv(DivOp op, ArrayRef<const Tensor *> operands, Tensor &result) {
  bool isInteger = isa<IntegerType>(result.elementType);
  for (auto [quotient, a, b] : llvm::zip_equal(result.values, operands[0]->values, operands[1]->values)) {
    if (isInteger && b == 0)
      return op.emitOpError("divides an integer by zero");
    quotient = isInteger ? std::trunc(a / b) : a / b;
  }
  return success();
}

static LogicalResult evaluateCompare(CompareOp op, ArrayRef<const Tensor *> operands, Tensor &result) {
  auto holds = [predicate = op.getPredicate()](double a, double b) {
    switch (predicate) {
    case Predicate::EQ:
      return a == b;
    case Predicate::NE:
      return a != b;
    case Predicate::LT:
      return a < b;
    case Predicate::LE:
      return a <= b;
    case Predicate::GT:
      return a > b;
    case Predicate::GE:
      return a >= b;
    }
    return false;
  };
  for (auto [bit, a, b] : llvm::zip_equal(result.values, operands[0]->values, operands[1]->values))
    bit = holds(a, b) ? 1 : 0;
  return success();
}

static LogicalResult evaluateSelect(SelectOp, ArrayRef<const Tensor *> operands, Tensor &result) {
  for (auto [value, mask, a, b] :
       llvm::zip_equal(result.values, operands[0]->values, operands[1]->values, operands[2]->values))
    value = mask != 0 ? a : b;
  return success();
}

/// Between floats it is the identity: rounding is the caller's, and depends on the mode. But factors that are powers of
/// two are divided by and are never zero in any mode.
static LogicalResult evaluateConvert(ConvertOp op, ArrayRef<const Tensor *> operands, Tensor &result) {
  result.values = operands[0]->values;
  if (result.elementType.isInteger(1))
    for (double &value : result.values)
      value = value != 0 ? 1 : 0;
  else if (isa<IntegerType>(result.elementType) && isa<FloatType>(operands[0]->elementType))
    for (double &value : result.values) {
      if (!std::isfinite(value))
        return op.emitOpError() << "converts " << value << " to an integer";
      value = std::trunc(value);
    }
  else if (isa<Float8E8M0FNUType>(result.elementType))
    for (double &value : result.values)
      value = value < kLeastPowerFactor ? kLeastPowerFactor : value;
  return success();
}

static LogicalResult evaluateConstant(ConstantOp op, ArrayRef<const Tensor *>, Tensor &result) {
  FailureOr<Tensor> value = Tensor::get(op.getValue());
  if (failed(value))
    return op.emitOpError("has elements that cannot be read: expected dense floats of at most 64 bits, or integers");
  result.values = std::move(value->values);
  return success();
}

static LogicalResult evaluateIota(IotaOp op, ArrayRef<const Tensor *>, Tensor &result) {
  int64_t stride = getStrides(result.shape)[op.getDim()], size = result.shape[op.getDim()];
  for (auto [index, value] : llvm::enumerate(result.values))
    value = static_cast<double>(static_cast<int64_t>(index) / stride % size);
  return success();
}

void primus::interpreter::addElementwisePrimitives(PrimitiveTable &table) {
  addUnary<NegOp, negate>(table);
  addUnary<ExpOp, std::exp>(table);
  addUnary<LogOp, std::log>(table);
  addUnary<SqrtOp, std::sqrt>(table);
  addUnary<RsqrtOp, reciprocalSqrt>(table);
  addUnary<TanhOp, std::tanh>(table);
  addUnary<ErfOp, std::erf>(table);
  addUnary<SigmoidOp, sigmoid>(table);
  addBinary<AddOp, addValues>(table);
  addBinary<SubOp, subtract>(table);
  addBinary<MulOp, multiply>(table);
  addBinary<MaximumOp, maximum>(table);
  addBinary<MinimumOp, minimum>(table);
  add<DivOp, evaluateDiv>(table);
  add<CompareOp, evaluateCompare>(table);
  add<SelectOp, evaluateSelect>(table);
  add<ConvertOp, evaluateConvert>(table);
  add<ConstantOp, evaluateConstant>(table);
  add<IotaOp, evaluateIota>(table);
}

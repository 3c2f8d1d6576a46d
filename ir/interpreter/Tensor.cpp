//===- Tensor.cpp - Values of the interpreter -----------------------------===//

#include "ir/interpreter/Tensor.h"

#include "llvm/ADT/bit.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/raw_ostream.h"

#include <cmath>

using namespace mlir;
using namespace primus::interpreter;

Tensor::Tensor(RankedTensorType type)
    : shape(type.getShape()), elementType(type.getElementType()), values(type.getNumElements(), 0.0) {}

Tensor::Tensor(RankedTensorType type, std::vector<double> values)
    : shape(type.getShape()), elementType(type.getElementType()), values(std::move(values)) {}

FailureOr<Tensor> Tensor::make(Operation *op, Type type) {
  auto tensorType = dyn_cast<RankedTensorType>(type);
  if (!tensorType || !tensorType.hasStaticShape())
    return op->emitError() << "cannot interpret a value of type " << type << ": expected a tensor of static shape";
  // Sixteen gibibytes of doubles; more is a mistake, because nothing that large is ever judged.
  constexpr int64_t maxElements = int64_t{1} << 31;
  int64_t elements = 1;
  for (int64_t size : tensorType.getShape())
    if (llvm::MulOverflow(elements, size, elements) || elements > maxElements)
      return op->emitError() << "cannot interpret a value of type " << type << ": it has more than 2^31 elements";
  return Tensor(tensorType);
}

FailureOr<Tensor> Tensor::get(ElementsAttr attribute) {
  auto type = dyn_cast<RankedTensorType>(attribute.getType());
  if (!type)
    return failure();
  Tensor tensor(type);
  // One element of a splat stands for all.
  auto copy = [&](auto &&elements, auto toDouble) {
    if (attribute.isSplat()) {
      if (!tensor.values.empty())
        std::fill(tensor.values.begin(), tensor.values.end(), toDouble(*elements.begin()));
      return;
    }
    for (auto [value, element] : llvm::zip_equal(tensor.values, elements))
      value = toDouble(element);
  };
  if (auto floatType = dyn_cast<FloatType>(type.getElementType())) {
    auto elements = attribute.tryGetValues<APFloat>();
    if (!elements || floatType.getWidth() > 64)
      return failure();
    copy(*elements, [](const APFloat &value) { return value.convertToDouble(); });
    return tensor;
  }
  auto elements = attribute.tryGetValues<APInt>();
  if (!elements)
    return failure();
  // i1 is 0 or 1; wider integers are signed.
  bool isBool = type.getElementType().isInteger(1);
  copy(*elements, [=](const APInt &value) {
    return static_cast<double>(isBool ? static_cast<int64_t>(value.getZExtValue()) : value.getSExtValue());
  });
  return tensor;
}

/// Rounds to a binary float with `fractionBits` stored bits and IEEE's infinities.
static double roundToFormat(double value, int fractionBits, int minExponent, double largest) {
  if (value == 0 || !std::isfinite(value))
    return value;
  // The gap between neighbours at this magnitude; below the smallest normal number it no longer shrinks.
  int exponent = std::max(std::ilogb(value), minExponent);
  double gap = std::ldexp(1.0, exponent - fractionBits);
  double rounded = std::nearbyint(value / gap) * gap;
  return std::abs(rounded) > largest ? std::copysign(HUGE_VAL, value) : rounded;
}

/// Rounds a normal bf16 by its bits, which is what nearly all values are.
static double roundToBF16(double value) {
  if (!(std::abs(value) >= 0x1p-126 && std::abs(value) < 0x1p127))
    return roundToFormat(value, 7, -126, 0x1.fep127);
  constexpr int dropped = 52 - 7;
  uint64_t bits = llvm::bit_cast<uint64_t>(value);
  bits += (uint64_t{1} << (dropped - 1)) - 1 + (bits >> dropped & 1);
  return llvm::bit_cast<double>(bits >> dropped << dropped);
}

/// Rounds to a format of eight bits. It saturates; powers of two are rounded down.
static double roundToByte(double value, FloatType type) {
  if (std::isnan(value))
    return value;
  const llvm::fltSemantics &semantics = type.getFloatSemantics();
  bool isExponent = isa<Float8E8M0FNUType>(type);
  if (isExponent && value < kLeastPowerFactor)
    return kLeastPowerFactor;
  double largest = APFloat::getLargest(semantics).convertToDouble();
  if (std::abs(value) >= largest)
    return std::copysign(largest, value);
  APFloat narrow(value);
  bool losesInfo;
  narrow.convert(semantics, isExponent ? APFloat::rmTowardZero : APFloat::rmNearestTiesToEven, &losesInfo);
  return narrow.convertToDouble();
}

/// Two's complement of `width` bits; i1 is 0 or 1.
static double wrapInteger(double value, unsigned width) {
  double range = std::ldexp(1.0, width);
  double wrapped = value - std::floor(value / range) * range;
  return width > 1 && wrapped >= range / 2 ? wrapped - range : wrapped;
}

void Tensor::round() {
  if (elementType.isF64())
    return;
  if (elementType.isF32()) {
    for (double &value : values)
      value = static_cast<float>(value);
  } else if (elementType.isBF16()) {
    for (double &value : values)
      value = roundToBF16(value);
  } else if (elementType.isF16()) {
    for (double &value : values)
      value = roundToFormat(value, 10, -14, 65504.0);
  } else if (auto floatType = dyn_cast<FloatType>(elementType)) {
    for (double &value : values)
      value = roundToByte(value, floatType);
  } else {
    unsigned width = elementType.getIntOrFloatBitWidth();
    for (double &value : values)
      value = wrapInteger(value, width);
  }
}

/// Prints dimension `dim` from element `offset` on, and returns the element after the last.
static int64_t printDimension(llvm::raw_ostream &os, const Tensor &tensor, size_t dim, int64_t offset) {
  if (dim == tensor.shape.size()) {
    os << llvm::format("%.9g", tensor.values[offset]);
    return offset + 1;
  }
  os << '[';
  for (int64_t i = 0; i < tensor.shape[dim]; ++i) {
    os << (i ? ", " : "");
    offset = printDimension(os, tensor, dim + 1, offset);
  }
  os << ']';
  return offset;
}

void Tensor::print(llvm::raw_ostream &os) const { printDimension(os, *this, 0, 0); }

SmallVector<int64_t> primus::interpreter::getStrides(ArrayRef<int64_t> shape) {
  SmallVector<int64_t> strides(shape.size(), 1);
  for (int64_t dim = static_cast<int64_t>(shape.size()) - 2; dim >= 0; --dim)
    strides[dim] = strides[dim + 1] * shape[dim + 1];
  return strides;
}

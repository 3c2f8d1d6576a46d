//===- Float8.cpp - Conversions of 8-bit floats by instructions -----------===//

#include "codegen/common/Float8.h"
#include "codegen/hip/KernelLowering.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace primus;
using namespace primus::codegen;
using namespace primus::codegen::hip;

/// What a chip's instructions call a format, fp8 or bf8; empty where they mean other ones by that.
static StringRef getNativeName(StringRef chip, FloatType format) {
  bool isFnuz = chip == "gfx942";
  if (isFnuz ? isa<Float8E4M3FNUZType>(format) : isa<Float8E4M3FNType>(format))
    return "fp8";
  if (isFnuz ? isa<Float8E5M2FNUZType>(format) : isa<Float8E5M2Type>(format))
    return "bf8";
  return "";
}

static Value call(ImplicitLocOpBuilder &b, const Twine &name, Type type, ValueRange operands) {
  return LLVM::CallIntrinsicOp::create(b, type, b.getStringAttr(name), operands).getResult(0);
}

/// The elements of a scalar or vector.
static SmallVector<Value> getElements(ImplicitLocOpBuilder &b, Value value) {
  auto vector = dyn_cast<VectorType>(value.getType());
  if (!vector)
    return {value};
  SmallVector<Value> elements;
  for (int64_t number = 0; number < vector.getNumElements(); ++number)
    elements.push_back(vector::ExtractOp::create(b, value, number));
  return elements;
}

Value KernelLowering::float8ToF32(Value bits, FloatType format) {
  StringRef name = getNativeName(chip, format);
  if (name.empty())
    return expandFloat8ToF32(b, bits, format);
  auto vector = dyn_cast<VectorType>(bits.getType());
  int64_t count = vector ? vector.getNumElements() : 1;
  // Words of four; of a rest the upper bytes do not matter.
  SmallVector<Value> words;
  if (count % 4 == 0) {
    words = getElements(b, LLVM::BitcastOp::create(b, VectorType::get(count / 4, b.getI32Type()), bits));
  } else {
    for (auto [number, element] : llvm::enumerate(getElements(b, bits))) {
      Value wide = arith::ExtUIOp::create(b, b.getI32Type(), element);
      if (number % 4 == 0)
        words.push_back(wide);
      else
        words.back() = arith::OrIOp::create(b, words.back(), arith::ShLIOp::create(b, wide, i32(8 * (number % 4))));
    }
  }
  SmallVector<Value> elements;
  auto pair = VectorType::get(2, b.getF32Type());
  for (int64_t number = 0; number < count; number += 2) {
    Value word = words[number / 4];
    if (number + 1 == count) {
      elements.push_back(call(b, "llvm.amdgcn.cvt.f32." + name, b.getF32Type(), {word, i32(number % 4)}));
      break;
    }
    Value isUpper = arith::ConstantIntOp::create(b, number % 4 / 2, 1);
    llvm::append_range(elements, getElements(b, call(b, "llvm.amdgcn.cvt.pk.f32." + name, pair, {word, isUpper})));
  }
  return vector ? fromElements(elements) : elements.front();
}

/// What lies beyond the largest number becomes it; NaN stays.
static Value saturate(ImplicitLocOpBuilder &b, Value value, FloatType format) {
  double largest = APFloat::getLargest(format.getFloatSemantics()).convertToDouble();
  auto constant = [&](double number) -> Value { return arith::ConstantOp::create(b, b.getF32FloatAttr(number)); };
  Value clamped = call(b, "llvm.amdgcn.fmed3", value.getType(), {value, constant(-largest), constant(largest)});
  Value isNan = arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, value, value);
  return arith::SelectOp::create(b, isNan, value, clamped);
}

Value KernelLowering::f32ToFloat8(Value value, FloatType format) {
  StringRef name = getNativeName(chip, format);
  if (name.empty())
    return expandF32ToFloat8(b, value, format);
  // The instructions make infinity or NaN of what is too large.
  SmallVector<Value> elements = getElements(b, value), words;
  for (Value &element : elements)
    element = saturate(b, element, format);
  int64_t count = elements.size();
  elements.resize(llvm::alignTo(count, 2), elements.back());
  for (int64_t number = 0; number < count; number += 2) {
    if (number % 4 == 0)
      words.push_back(i32(0));
    Value isUpper = arith::ConstantIntOp::create(b, number % 4 / 2, 1);
    words.back() = call(b, "llvm.amdgcn.cvt.pk." + name + ".f32", b.getI32Type(),
                        {elements[number], elements[number + 1], words.back(), isUpper});
  }
  if (!isa<VectorType>(value.getType()))
    return arith::TruncIOp::create(b, b.getI8Type(), words.front());
  Value bytes = LLVM::BitcastOp::create(b, VectorType::get(4 * words.size(), b.getI8Type()), fromElements(words));
  return slice(bytes, 0, count);
}

//===- VectorBuilder.cpp - Building blocks on vector registers ------------===//

#include "codegen/cpu/VectorBuilder.h"

#include "codegen/common/Float8.h"

#include "llvm/ADT/Sequence.h"
#include "llvm/Support/MathExtras.h"

#include <numeric>

using namespace mlir;
using namespace primus;
using namespace primus::codegen;

int64_t primus::codegen::getElementBytes(Type type) {
  if (type.isIndex() || isa<LLVM::LLVMPointerType>(type))
    return 8;
  return llvm::divideCeil(type.getIntOrFloatBitWidth(), 8);
}

static int64_t getWidth(Value vector) { return cast<VectorType>(vector.getType()).getDimSize(0); }

/// `type` with another element.
static Type withElement(Type type, Type element) {
  if (auto vector = dyn_cast<VectorType>(type))
    return vector.clone(element);
  return element;
}

//===----------------------------------------------------------------------===//
// Constants and permutations
//===----------------------------------------------------------------------===//

Value VectorBuilder::i64(int64_t value) { return constantInt(getI64Type(), value); }

Value VectorBuilder::constant(Type type, double number) {
  TypedAttr value = getFloatAttr(getElementTypeOrSelf(type), number);
  if (auto vector = dyn_cast<VectorType>(type))
    value = DenseElementsAttr::get(vector, Attribute(value));
  return arith::ConstantOp::create(*this, value);
}

Value VectorBuilder::constantInt(Type type, int64_t number) {
  TypedAttr value = getIntegerAttr(getElementTypeOrSelf(type), number);
  if (auto vector = dyn_cast<VectorType>(type))
    value = DenseElementsAttr::get(vector, Attribute(value));
  return arith::ConstantOp::create(*this, value);
}

Value VectorBuilder::laneNumbers(int64_t width, int64_t first) {
  SmallVector<int32_t> lanes(width);
  std::iota(lanes.begin(), lanes.end(), first);
  return arith::ConstantOp::create(*this, getI32VectorAttr(lanes));
}

Value VectorBuilder::poison(Type type) { return LLVM::PoisonOp::create(*this, type); }

Value VectorBuilder::splat(Value scalar, int64_t width) {
  auto type = VectorType::get({width}, scalar.getType());
  Value first = LLVM::InsertElementOp::create(*this, poison(type), scalar, i64(0));
  return width == 1 ? first : splatLane(first, 0, width);
}

Value VectorBuilder::shuffle(Value a, Value b, ArrayRef<int32_t> mask) {
  return LLVM::ShuffleVectorOp::create(*this, a, b, mask);
}

Value VectorBuilder::slice(Value vector, int64_t first, int64_t width) {
  int64_t available = getWidth(vector);
  if (first == 0 && width == available)
    return vector;
  SmallVector<int32_t> mask;
  for (int64_t lane : llvm::seq(first, first + width))
    mask.push_back(lane < available ? lane : -1);
  return shuffle(vector, mask);
}

Value VectorBuilder::splatLane(Value vector, int64_t lane, int64_t width) {
  return shuffle(vector, SmallVector<int32_t>(width, lane));
}

Value VectorBuilder::extract(Value vector, int64_t lane) {
  return LLVM::ExtractElementOp::create(*this, vector, i64(lane));
}

Value VectorBuilder::concat(ArrayRef<Value> vectors) {
  SmallVector<Value> list(vectors);
  while (list.size() > 1) {
    SmallVector<Value> next;
    for (size_t i = 0; i < list.size(); i += 2) {
      int64_t width = getWidth(list[i]);
      Value other = i + 1 < list.size() ? list[i + 1] : poison(list[i].getType());
      next.push_back(shuffle(list[i], other, llvm::to_vector_of<int32_t>(llvm::seq<int64_t>(0, 2 * width))));
    }
    list = std::move(next);
  }
  return list.front();
}

Value VectorBuilder::bitcast(Value value, Type type) {
  return value.getType() == type ? value : LLVM::BitcastOp::create(*this, type, value);
}

SmallVector<Value> VectorBuilder::transpose(ArrayRef<Value> rows) {
  int64_t width = getWidth(rows.front()), count = llvm::PowerOf2Ceil(rows.size());
  int64_t size = std::max(width, count);
  SmallVector<Value> square;
  for (Value row : rows)
    square.push_back(slice(row, 0, size));
  if (int64_t(rows.size()) < size)
    square.resize(size, poison(square.front().getType()));
  // Exchange the off-diagonal blocks of ever larger blocks.
  for (int64_t block = 1; block < size; block *= 2) {
    SmallVector<int32_t> even(size), odd(size);
    for (int64_t lane = 0; lane < size; ++lane) {
      even[lane] = lane & block ? size + lane - block : lane;
      odd[lane] = lane & block ? size + lane : lane + block;
    }
    for (int64_t row = 0; row < size; ++row) {
      if (row & block)
        continue;
      Value a = square[row], b = square[row + block];
      square[row] = shuffle(a, b, even);
      square[row + block] = shuffle(a, b, odd);
    }
  }
  square.resize(width);
  for (Value &column : square)
    column = slice(column, 0, count);
  return square;
}

Value VectorBuilder::combineTree(ArrayRef<Value> values, Combine combine) {
  SmallVector<Value> list(values);
  while (list.size() > 1) {
    size_t half = llvm::divideCeil(list.size(), 2);
    for (size_t i = 0; i + half < list.size(); ++i)
      list[i] = combine(list[i], list[i + half]);
    list.resize(half);
  }
  return list.front();
}

Value VectorBuilder::combineLanes(ArrayRef<Value> rows, Combine combine) {
  int64_t width = getWidth(rows.front());
  // More rows than lanes: one group of rows after another.
  if (int64_t(rows.size()) > width) {
    SmallVector<Value> groups;
    for (size_t first = 0; first < rows.size(); first += width) {
      Value group = combineLanes(rows.slice(first, std::min<size_t>(width, rows.size() - first)), combine);
      groups.push_back(slice(group, 0, width));
    }
    return slice(concat(groups), 0, llvm::PowerOf2Ceil(rows.size()));
  }
  SmallVector<Value> list(rows);
  list.resize(llvm::PowerOf2Ceil(rows.size()), rows.front());
  // Two vectors in which lane l belongs to row l mod s become one in which it belongs to row l mod 2s: the lower halves of both
  // beside each other, and the upper halves, combined.
  for (int64_t s = 1; list.size() > 1; s *= 2) {
    SmallVector<int32_t> lower(width), upper(width);
    for (int64_t lane = 0; lane < width; ++lane) {
      int64_t row = lane % (2 * s), partial = lane / (2 * s);
      lower[lane] = row < s ? partial * s + row : width + partial * s + row - s;
      upper[lane] = lower[lane] + width / 2;
    }
    SmallVector<Value> next;
    for (size_t i = 0; i < list.size(); i += 2) {
      Value a = list[i], b = list[i + 1];
      next.push_back(combine(shuffle(a, b, lower), shuffle(a, b, upper)));
    }
    list = std::move(next);
  }
  Value result = list.front();
  for (int64_t count = llvm::PowerOf2Ceil(rows.size()); width > count; width /= 2)
    result = combine(slice(result, 0, width / 2), slice(result, width / 2, width / 2));
  return result;
}

//===----------------------------------------------------------------------===//
// Narrow floats
//===----------------------------------------------------------------------===//

Value VectorBuilder::bf16ToF32(Value bits) {
  Type i32 = withElement(bits.getType(), getI32Type());
  Value wide = arith::ExtUIOp::create(*this, i32, bits);
  Value shifted = arith::ShLIOp::create(*this, wide, constantInt(i32, 16));
  return bitcast(shifted, withElement(i32, getF32Type()));
}

Value VectorBuilder::f32ToBf16(Value value) {
  Type type = value.getType(), i16 = withElement(type, getIntegerType(16)), i32 = withElement(type, getI32Type());
  auto vector = dyn_cast<VectorType>(type);
  if (target.has("avx512bf16") && vector && (vector.getDimSize(0) == 16 || vector.getDimSize(0) == 8)) {
    StringRef name = vector.getDimSize(0) == 16 ? "llvm.x86.avx512bf16.cvtneps2bf16.512"
                                                : "llvm.x86.avx512bf16.cvtneps2bf16.256";
    return bitcast(intrinsic(name, withElement(type, getBF16Type()), value), i16);
  }
  Value bits = bitcast(value, i32), sixteen = constantInt(i32, 16);
  Value upper = arith::ShRUIOp::create(*this, bits, sixteen);
  Value odd = arith::AndIOp::create(*this, upper, constantInt(i32, 1));
  Value bias = arith::AddIOp::create(*this, odd, constantInt(i32, 0x7fff));
  Value rounded = arith::ShRUIOp::create(*this, arith::AddIOp::create(*this, bits, bias), sixteen);
  Value quiet = arith::OrIOp::create(*this, upper, constantInt(i32, 0x40));
  Value isNan = arith::CmpFOp::create(*this, arith::CmpFPredicate::UNO, value, value);
  return arith::TruncIOp::create(*this, i16, arith::SelectOp::create(*this, isNan, quiet, rounded));
}

Value VectorBuilder::upperHalf(Value value) {
  Type i32 = withElement(value.getType(), getI32Type());
  Value bits = arith::ShRUIOp::create(*this, bitcast(value, i32), constantInt(i32, 16));
  return arith::TruncIOp::create(*this, withElement(i32, getIntegerType(16)), bits);
}

Value VectorBuilder::toF32(Value stored, Type element) {
  if (element.isBF16())
    return bf16ToF32(stored);
  if (isFloat8(element))
    return expandFloat8ToF32(*this, stored, cast<FloatType>(element));
  return element.isF32() ? stored
                         : arith::ExtFOp::create(*this, withElement(stored.getType(), getF32Type()), stored).getResult();
}

Value VectorBuilder::fromF32(Value value, Type element) {
  if (element.isBF16())
    return f32ToBf16(value);
  if (isFloat8(element))
    return expandF32ToFloat8(*this, value, cast<FloatType>(element));
  return element.isF32() ? value
                         : arith::TruncFOp::create(*this, withElement(value.getType(), element), value).getResult();
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Value VectorBuilder::offset(Value base, Value bytes) {
  return LLVM::GEPOp::create(*this, base.getType(), getI8Type(), base, ArrayRef<LLVM::GEPArg>{bytes});
}

Value VectorBuilder::offset(Value base, int64_t bytes) { return bytes == 0 ? base : offset(base, i64(bytes)); }

Value VectorBuilder::load(Type type, Value pointer, Value mask, Value pad) {
  Type element = getElementTypeOrSelf(type);
  if (element.isInteger(1)) {
    Type bytes = withElement(type, getI8Type());
    Value bytePad = pad ? Value(arith::ExtUIOp::create(*this, bytes, pad)) : Value();
    Value loaded = load(bytes, pointer, mask, bytePad);
    return arith::CmpIOp::create(*this, arith::CmpIPredicate::ne, loaded, constantInt(bytes, 0));
  }
  unsigned alignment = getElementBytes(element);
  if (!mask)
    return LLVM::LoadOp::create(*this, type, pointer, alignment);
  return LLVM::MaskedLoadOp::create(*this, type, pointer, mask, pad, alignment, /*nontemporal=*/false);
}

void VectorBuilder::store(Value value, Value pointer, Value mask) {
  Type element = getElementTypeOrSelf(value.getType());
  if (element.isInteger(1)) {
    Type bytes = withElement(value.getType(), getI8Type());
    return store(arith::ExtUIOp::create(*this, bytes, value), pointer, mask);
  }
  unsigned alignment = getElementBytes(element);
  if (!mask)
    LLVM::StoreOp::create(*this, value, pointer, alignment);
  else
    LLVM::MaskedStoreOp::create(*this, value, pointer, mask, alignment);
}

Value VectorBuilder::lanePointers(Value pointer, int64_t stride, int64_t width) {
  SmallVector<int64_t> offsets;
  for (int64_t lane : llvm::seq(width))
    offsets.push_back(lane * stride);
  Value bytes = arith::ConstantOp::create(*this, getI64VectorAttr(offsets));
  Type pointers = VectorType::get({width}, pointer.getType());
  return LLVM::GEPOp::create(*this, pointers, getI8Type(), pointer, ArrayRef<LLVM::GEPArg>{bytes});
}

Value VectorBuilder::gather(Type type, Value pointer, int64_t stride, Value mask, Value pad) {
  auto vector = cast<VectorType>(type);
  int64_t width = vector.getDimSize(0);
  if (vector.getElementType().isInteger(1)) {
    Type bytes = vector.clone(getI8Type());
    Value bytePad = pad ? Value(arith::ExtUIOp::create(*this, bytes, pad)) : Value();
    Value loaded = gather(bytes, pointer, stride, mask, bytePad);
    return arith::CmpIOp::create(*this, arith::CmpIPredicate::ne, loaded, constantInt(bytes, 0));
  }
  Type maskType = VectorType::get({width}, getI1Type());
  return LLVM::masked_gather::create(*this, type, lanePointers(pointer, stride, width),
                                     mask ? mask : constantInt(maskType, 1), pad ? ValueRange(pad) : ValueRange(),
                                     getElementBytes(vector.getElementType()));
}

void VectorBuilder::scatter(Value value, Value pointer, int64_t stride, Value mask) {
  auto vector = cast<VectorType>(value.getType());
  int64_t width = vector.getDimSize(0);
  if (vector.getElementType().isInteger(1))
    return scatter(arith::ExtUIOp::create(*this, vector.clone(getI8Type()), value), pointer, stride, mask);
  Type maskType = VectorType::get({width}, getI1Type());
  LLVM::masked_scatter::create(*this, value, lanePointers(pointer, stride, width), mask ? mask : constantInt(maskType, 1),
                               getElementBytes(vector.getElementType()));
}

Value VectorBuilder::intrinsic(StringRef name, Type result, ValueRange operands) {
  return LLVM::CallIntrinsicOp::create(*this, result, getStringAttr(name), operands).getResults();
}

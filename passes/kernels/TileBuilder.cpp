//===- TileBuilder.cpp - Building tile programs ---------------------------===//

#include "passes/kernels/TileBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace primus;
using namespace primus::kernels;

ArrayRef<int64_t> kernels::getTileShape(Value tile) {
  if (auto type = dyn_cast<RankedTensorType>(tile.getType()))
    return type.getShape();
  return {};
}

Type kernels::getTileType(ArrayRef<int64_t> shape, Type element) {
  return shape.empty() ? element : RankedTensorType::get(shape, element);
}

Type kernels::withElement(Type type, Type element) {
  if (auto tensor = dyn_cast<RankedTensorType>(type))
    return RankedTensorType::get(tensor.getShape(), element);
  return element;
}

std::string kernels::kernelName(StringRef name, unsigned index) {
  return index == 0 ? name.str() : (name + "_" + Twine(index)).str();
}

Cut Cut::of(int64_t columns, int64_t most, int64_t lanes) {
  if (columns < lanes)
    return {lanes, 0, static_cast<int64_t>(llvm::PowerOf2Ceil(columns))};
  int64_t width = std::min<int64_t>(most, columns / lanes * lanes);
  int64_t chunks = columns / width;
  return {width, chunks, static_cast<int64_t>(llvm::alignTo(columns - chunks * width, lanes))};
}

//===----------------------------------------------------------------------===//
// The function
//===----------------------------------------------------------------------===//

TileBuilder::TileBuilder(OpBuilder &builder, graph::FusionOp fusion, StringRef name, ArrayRef<int64_t> grid)
    : ImplicitLocOpBuilder(fusion.getLoc(), builder), fusion(fusion) {
  kernel = kernel::FuncOp::create(*this, name, TypeRange(), grid);
  if (kernel.getBody().empty())
    kernel.getBody().emplaceBlock();
  setInsertionPointToStart(&kernel.getBody().front());
}

void TileBuilder::setWaves(int64_t alongRows, int64_t alongColumns) {
  if (alongRows * alongColumns > 1)
    kernel.setWavesAttr(getDenseI64ArrayAttr({alongRows, alongColumns}));
}

void TileBuilder::setPrediction(double seconds, StringRef bound) {
  kernel->setAttr("prediction", getDictionaryAttr({getNamedAttr("seconds", getF64FloatAttr(seconds)),
                                                   getNamedAttr("bound", getStringAttr(bound))}));
}

Value TileBuilder::operand(Operand::Kind kind, unsigned index, MemRefType type) {
  Block &body = kernel.getBody().front();
  for (auto [position, known] : llvm::enumerate(operands))
    if (known.kind == kind && known.index == index && known.type == type)
      return body.getArgument(position);
  operands.push_back({kind, index, type});
  return body.addArgument(type, getLoc());
}

Value TileBuilder::input(unsigned index, ArrayRef<int64_t> shape) {
  Type element = getElementTypeOrSelf(fusion.getInputs()[index].getType());
  return operand(Operand::Input, index, MemRefType::get(shape, element));
}

Value TileBuilder::output(unsigned index, ArrayRef<int64_t> shape) {
  Type element = getElementTypeOrSelf(fusion.getResults()[index].getType());
  return operand(Operand::Output, index, MemRefType::get(shape, element));
}

Value TileBuilder::temporary(unsigned index, MemRefType type) { return operand(Operand::Temporary, index, type); }

Launch TileBuilder::finish() {
  kernel::ReturnOp::create(*this);
  // A temporary that is written comes with the outputs, one that is read with the inputs.
  Block &body = kernel.getBody().front();
  auto isWritten = [&](unsigned position) {
    return llvm::any_of(body.getArgument(position).getUsers(), llvm::IsaPred<kernel::StoreOp>);
  };
  SmallVector<unsigned> order = llvm::to_vector(llvm::seq<unsigned>(0, operands.size()));
  llvm::sort(order, [&](unsigned a, unsigned b) {
    auto rank = [&](unsigned i) { return std::tuple(isWritten(i), operands[i].kind, operands[i].index, i); };
    return rank(a) < rank(b);
  });

  SmallVector<Operand> sorted;
  SmallVector<Type> types;
  unsigned count = operands.size();
  for (unsigned position : order) {
    BlockArgument argument = body.addArgument(operands[position].type, getLoc());
    body.getArgument(position).replaceAllUsesWith(argument);
    sorted.push_back(operands[position]);
    types.push_back(argument.getType());
  }
  body.eraseArguments(0, count);
  kernel.setFunctionTypeAttr(TypeAttr::get(FunctionType::get(getContext(), types, {})));
  return {kernel, sorted};
}

//===----------------------------------------------------------------------===//
// Indices and loops
//===----------------------------------------------------------------------===//

Value TileBuilder::index(int64_t value) {
  Value &constant = indices[value];
  if (!constant) {
    OpBuilder::InsertionGuard guard(*this);
    setInsertionPointToStart(&kernel.getBody().front());
    constant = arith::ConstantIndexOp::create(*this, value);
  }
  return constant;
}

Value TileBuilder::programId(int64_t dim) {
  // A dimension of one instance needs no id, and its constant folds.
  if (kernel.getGrid()[dim] == 1)
    return index(0);
  return kernel::ProgramIdOp::create(*this, getIndexType(), dim);
}

Value TileBuilder::addIndex(Value a, Value b) {
  std::optional<int64_t> x = getConstantIntValue(a), y = getConstantIntValue(b);
  if (x && y)
    return index(*x + *y);
  if (x == 0)
    return b;
  if (y == 0)
    return a;
  return arith::AddIOp::create(*this, a, b);
}

Value TileBuilder::mulIndex(Value a, int64_t b) {
  if (std::optional<int64_t> x = getConstantIntValue(a))
    return index(*x * b);
  if (b == 0)
    return index(0);
  return b == 1 ? a : arith::MulIOp::create(*this, a, index(b)).getResult();
}

Value TileBuilder::divIndex(Value a, int64_t b) {
  if (std::optional<int64_t> x = getConstantIntValue(a))
    return index(*x / b);
  return b == 1 ? a : arith::DivUIOp::create(*this, a, index(b)).getResult();
}

Value TileBuilder::remIndex(Value a, int64_t b) {
  if (std::optional<int64_t> x = getConstantIntValue(a))
    return index(*x % b);
  return b == 1 ? index(0) : arith::RemUIOp::create(*this, a, index(b)).getResult();
}

Value TileBuilder::minIndex(Value a, Value b) {
  std::optional<int64_t> x = getConstantIntValue(a), y = getConstantIntValue(b);
  if (x && y)
    return index(std::min(*x, *y));
  return arith::MinUIOp::create(*this, a, b);
}

SmallVector<Value> TileBuilder::loop(Value begin, Value end, int64_t step, ValueRange carried,
                                     function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(*this, begin, end, index(step), carried);
  OpBuilder::InsertionGuard guard(*this);
  // scf.for makes its own terminator where nothing is carried.
  Block *block = loop.getBody();
  if (carried.empty())
    setInsertionPoint(block->getTerminator());
  else
    setInsertionPointToEnd(block);
  SmallVector<Value> next = body(loop.getInductionVar(), loop.getRegionIterArgs());
  if (!carried.empty())
    scf::YieldOp::create(*this, next);
  return SmallVector<Value>(loop.getResults());
}

SmallVector<Value> TileBuilder::unrolledLoop(Value begin, Value end, int64_t unroll, ValueRange carried,
                                             function_ref<SmallVector<Value>(Value, ValueRange, bool)> body) {
  auto one = [&](Value index, ValueRange state) { return body(index, state, /*isRest=*/true); };
  std::optional<int64_t> first = getConstantIntValue(begin), last = getConstantIntValue(end);
  if (unroll == 1 || (first && last && *last - *first < unroll))
    return loop(begin, end, 1, carried, one);
  Value middle;
  if (first && last)
    middle = index(*first + (*last - *first) / unroll * unroll);
  else
    middle = addIndex(begin, mulIndex(divIndex(arith::SubIOp::create(*this, end, begin), unroll), unroll));
  SmallVector<Value> state = loop(begin, middle, unroll, carried, [&](Value start, ValueRange inner) {
    SmallVector<Value> next(inner);
    for (int64_t number = 0; number < unroll; ++number)
      next = body(addIndex(start, index(number)), next, /*isRest=*/false);
    return next;
  });
  return middle == end ? state : loop(middle, end, 1, state, one);
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Value TileBuilder::load(Value memref, ValueRange indices, ArrayRef<int64_t> dims, ArrayRef<int64_t> tile, bool inbounds,
                        double pad) {
  Type element = cast<MemRefType>(memref.getType()).getElementType();
  FloatAttr padding = pad == 0 ? FloatAttr() : getF64FloatAttr(pad);
  return kernel::LoadOp::create(*this, getTileType(tile, element), memref, indices, getDenseI64ArrayAttr(dims), padding,
                                inbounds);
}

Value TileBuilder::loadScalar(Value memref, ValueRange indices) { return load(memref, indices, {}, {}); }

void TileBuilder::store(Value tile, Value memref, ValueRange indices, ArrayRef<int64_t> dims, bool inbounds) {
  kernel::StoreOp::create(*this, tile, memref, indices, getDenseI64ArrayAttr(dims), inbounds);
}

//===----------------------------------------------------------------------===//
// Tiles
//===----------------------------------------------------------------------===//

Value TileBuilder::constant(Type like, double value) {
  Type element = getElementTypeOrSelf(like);
  TypedAttr attr = isa<FloatType>(element) ? TypedAttr(getFloatAttr(element, value))
                                           : TypedAttr(getIntegerAttr(element, static_cast<int64_t>(value)));
  if (auto tensor = dyn_cast<RankedTensorType>(like))
    attr = DenseElementsAttr::get(tensor, Attribute(attr));
  return arith::ConstantOp::create(*this, attr);
}

Value TileBuilder::broadcast(Value value, ArrayRef<int64_t> shape) {
  if (getTileShape(value) == shape)
    return value;
  return kernel::BroadcastOp::create(*this, getTileType(shape, getElementTypeOrSelf(value)), value);
}

Value TileBuilder::reduce(kernel::ReduceKind kind, Value tile, int64_t dim) {
  SmallVector<int64_t> shape(getTileShape(tile));
  if (shape.size() == 1)
    shape.clear();
  else
    shape[dim] = 1;
  return kernel::ReduceOp::create(*this, getTileType(shape, getElementTypeOrSelf(tile)), kind, tile, dim);
}

Value TileBuilder::iota(Value base, int64_t dim, ArrayRef<int64_t> shape) {
  return kernel::IotaOp::create(*this, RankedTensorType::get(shape, getI32Type()), base, dim);
}

Value TileBuilder::dot(Value lhs, Value rhs, Value acc, int64_t group, Value lhsFactor, Value rhsFactor) {
  return kernel::DotOp::create(*this, acc.getType(), lhs, rhs, acc, lhsFactor, rhsFactor, group);
}

Value TileBuilder::transpose(Value tile) {
  ArrayRef<int64_t> shape = getTileShape(tile);
  return kernel::TransposeOp::create(*this, getTileType({shape[1], shape[0]}, getElementTypeOrSelf(tile)), tile);
}

Value TileBuilder::convert(Value value, Type element) {
  Type from = getElementTypeOrSelf(value), type = withElement(value.getType(), element);
  if (from == element)
    return value;
  auto source = dyn_cast<FloatType>(from), target = dyn_cast<FloatType>(element);
  if (source && target) {
    if (source.getWidth() < target.getWidth())
      return arith::ExtFOp::create(*this, type, value);
    if (source.getWidth() > target.getWidth())
      return arith::TruncFOp::create(*this, type, value);
    return convert(convert(value, getF32Type()), element);
  }
  if (source)
    return arith::FPToSIOp::create(*this, type, value);
  if (target)
    return from.isInteger(1) ? arith::UIToFPOp::create(*this, type, value).getResult()
                             : arith::SIToFPOp::create(*this, type, value).getResult();
  if (from.getIntOrFloatBitWidth() > element.getIntOrFloatBitWidth())
    return arith::TruncIOp::create(*this, type, value);
  return from.isInteger(1) ? arith::ExtUIOp::create(*this, type, value).getResult()
                           : arith::ExtSIOp::create(*this, type, value).getResult();
}

Value TileBuilder::inF32(ValueRange operands, function_ref<Value(ValueRange)> build) {
  Type element = getElementTypeOrSelf(operands.front());
  if (!isa<FloatType>(element) || element.getIntOrFloatBitWidth() >= 32)
    return build(operands);
  SmallVector<Value> wide;
  for (Value value : operands)
    wide.push_back(convert(value, getF32Type()));
  return convert(build(wide), element);
}

static bool isFloat(Value value) { return isa<FloatType>(getElementTypeOrSelf(value)); }

#define PRIMUS_BINARY(NAME, FLOAT, INTEGER)                                                                            \
  Value TileBuilder::NAME(Value a, Value b) {                                                                          \
    return inF32({a, b}, [&](ValueRange v) -> Value {                                                                  \
      return isFloat(v[0]) ? FLOAT::create(*this, v[0], v[1]).getResult()                                              \
                           : INTEGER::create(*this, v[0], v[1]).getResult();                                           \
    });                                                                                                                \
  }
PRIMUS_BINARY(add, arith::AddFOp, arith::AddIOp)
PRIMUS_BINARY(sub, arith::SubFOp, arith::SubIOp)
PRIMUS_BINARY(mul, arith::MulFOp, arith::MulIOp)
PRIMUS_BINARY(div, arith::DivFOp, arith::DivSIOp)
PRIMUS_BINARY(max, arith::MaximumFOp, arith::MaxSIOp)
PRIMUS_BINARY(min, arith::MinimumFOp, arith::MinSIOp)
#undef PRIMUS_BINARY

#define PRIMUS_UNARY(NAME, OP)                                                                                         \
  Value TileBuilder::NAME(Value a) {                                                                                   \
    return inF32({a}, [&](ValueRange v) -> Value { return OP::create(*this, v[0]); });                                 \
  }
PRIMUS_UNARY(neg, arith::NegFOp)
PRIMUS_UNARY(exp, math::ExpOp)
PRIMUS_UNARY(log, math::LogOp)
PRIMUS_UNARY(sqrt, math::SqrtOp)
PRIMUS_UNARY(rsqrt, math::RsqrtOp)
PRIMUS_UNARY(tanh, math::TanhOp)
PRIMUS_UNARY(erf, math::ErfOp)
#undef PRIMUS_UNARY

Value TileBuilder::compare(graph::Predicate predicate, Value a, Value b) {
  // In the order of graph::Predicate: eq, ne, lt, le, gt, ge.
  static constexpr arith::CmpFPredicate floats[] = {arith::CmpFPredicate::OEQ, arith::CmpFPredicate::UNE,
                                                    arith::CmpFPredicate::OLT, arith::CmpFPredicate::OLE,
                                                    arith::CmpFPredicate::OGT, arith::CmpFPredicate::OGE};
  static constexpr arith::CmpIPredicate integers[] = {arith::CmpIPredicate::eq,  arith::CmpIPredicate::ne,
                                                      arith::CmpIPredicate::slt, arith::CmpIPredicate::sle,
                                                      arith::CmpIPredicate::sgt, arith::CmpIPredicate::sge};
  auto which = static_cast<unsigned>(predicate);
  if (!isFloat(a))
    return arith::CmpIOp::create(*this, integers[which], a, b);
  return arith::CmpFOp::create(*this, floats[which], a, b);
}

Value TileBuilder::select(Value condition, Value a, Value b) { return arith::SelectOp::create(*this, condition, a, b); }

Value TileBuilder::combine(kernel::ReduceKind kind, Value a, Value b) {
  return kind == kernel::ReduceKind::Sum ? add(a, b) : max(a, b);
}

Value TileBuilder::neutral(kernel::ReduceKind kind, Type like) {
  if (kind == kernel::ReduceKind::Sum)
    return constant(like, 0);
  if (isa<FloatType>(getElementTypeOrSelf(like)))
    return constant(like, -std::numeric_limits<double>::infinity());
  return constant(like, static_cast<double>(std::numeric_limits<int32_t>::min()));
}

//===- CrossEntropy.cpp - Output projection and loss ----------------------===//

#include "ir/graph/CrossEntropy.h"

#include "ir/graph/GraphBuilder.h"
#include "ir/graph/Localizer.h"
#include "ir/graph/Rules.h"

using namespace mlir;
using namespace primus::graph;

namespace {

/// Steps that the loss, its parts and its gradient share; logits are [tokens, rows of the weight], all dimensions of
/// tokens joined.
template <typename OpT> struct Logits {
  Logits(OpT op, OpBuilder &builder) : b(builder, op.getLoc()) {
    RankedTensorType type = getTensorType(op.getX());
    leading.assign(type.getShape().drop_back().begin(), type.getShape().drop_back().end());
    tokens = ShapedType::getNumElements(leading);
    x = b.reshape(op.getX(), {tokens, type.getShape().back()});
    logits = b.matmul("th,vh->tv", x, op.getWeight(), b.getF32());
    column = b.iotaLike(logits, 1);
    bool isPart = false;
    if constexpr (requires { op.getOffset(); })
      if (op.getOffset()) {
        column = b.add(column, b.broadcastScalar(op.getOffset(), column));
        isPart = true;
      }
    if (isPart || static_cast<int64_t>(op.getVocabulary()) < getTensorType(op.getWeight()).getDimSize(0))
      real = b.compare(Predicate::LT, column, static_cast<double>(op.getVocabulary()));
    Value labels = b.convert(flatten(op.getLabels()), getTensorType(column).getElementType());
    target = b.compare(Predicate::EQ, column, spread(labels));
    valid = b.compare(Predicate::GE, labels, 0);
  }

  /// One value per token in one dimension, and back.
  Value flatten(Value perToken) { return b.reshape(perToken, {tokens}); }
  Value unflatten(Value perToken) { return b.reshape(perToken, leading); }
  /// One value, or one per group, for each token.
  Value spreadGroups(Value perGroup) {
    ArrayRef<int64_t> shape = getTensorType(perGroup).getShape();
    if (shape.empty() || shape[0] == 1)
      return b.broadcast(b.reshape(perGroup, {}), {tokens}, {});
    return b.reshape(b.broadcast(perGroup, {shape[0], tokens / shape[0]}, {0}), {tokens});
  }
  /// The sums over all tokens, or over those of each group, in a shape.
  Value sumGroups(Value perToken, ArrayRef<int64_t> shape) {
    if (shape.empty() || shape[0] == 1)
      return b.reshape(b.sum(perToken, {0}), shape);
    return b.sum(b.reshape(perToken, {shape[0], tokens / shape[0]}), {1});
  }
  /// One value per token, for each column.
  Value spread(Value perToken) { return b.broadcast(perToken, getTensorType(logits).getShape(), {0}); }
  /// `value` in the columns that are no padding, else `other`.
  Value withoutPadding(Value value, double other) {
    return real ? b.select(real, value, b.splatLike(value, other)) : value;
  }
  /// The log of the sum of the columns' exponentials. If all columns may be padding, the sum is at least 1, which it is
  /// anyway where one is not: the largest term is 1.
  Value buildLse(bool maybeEmpty);
  /// The label's logit, zero where no column is the label.
  Value buildTarget() { return b.sum(b.select(target, logits, b.splatLike(logits, 0)), {1}); }

  GraphBuilder b;
  SmallVector<int64_t> leading;
  int64_t tokens;
  /// [tokens, width]; [tokens, rows]; i32 row of the whole weight for each column; which columns are no padding (null:
  /// all); which is the label's; which tokens count.
  Value x, logits, column, real, target, valid;
};

/// Below every logit, and finite.
constexpr double kMaskedLogit = -1e30;

template <typename OpT> Value Logits<OpT>::buildLse(bool maybeEmpty) {
  Value largest = b.max(withoutPadding(logits, kMaskedLogit), {1});
  Value total = b.sum(withoutPadding(b.exp(b.sub(logits, spread(largest))), 0), {1});
  return b.add(largest, b.log(maybeEmpty ? b.maximum(total, 1) : total));
}

template <typename OpT> LogicalResult verifyCrossEntropy(OpT op, bool isPart = false) {
  RankedTensorType x = getTensorType(op.getX()), weight = getTensorType(op.getWeight()),
                   labels = getTensorType(op.getLabels()), lse = getTensorType(op.getLse());
  if (x.getRank() < 1 || weight.getRank() != 2 || x.getShape().back() != weight.getDimSize(1))
    return op.emitOpError("x must be [tokens..., width] and weight [vocabulary, width], but they are ")
           << x << " and " << weight;
  if (x.getElementType() != weight.getElementType())
    return op.emitOpError("x and weight must have one element type, but are ") << x << " and " << weight;
  if (labels.getShape() != x.getShape().drop_back() || !labels.getElementType().isInteger(32))
    return op.emitOpError("labels must be i32 [tokens...], but are ") << labels;
  if (lse.getShape() != x.getShape().drop_back() || !lse.getElementType().isF32())
    return op.emitOpError("lse must be f32 [tokens...], but is ") << lse;
  int64_t vocabulary = op.getVocabulary();
  if (vocabulary < 1 || (!isPart && vocabulary > weight.getDimSize(0)))
    return op.emitOpError("vocabulary must be between 1 and the weight's number of rows ")
           << weight.getDimSize(0) << ", but is " << vocabulary;
  return success();
}

bool isScalar(Value value, Type elementType) {
  RankedTensorType type = getTensorType(value);
  return type.getRank() == 0 && type.getElementType() == elementType;
}

/// f32, a scalar or one value per group of equally many of `x`'s first dimension.
bool isPerGroup(Value value, Value x) {
  RankedTensorType type = getTensorType(value), xType = getTensorType(x);
  return type.getElementType().isF32() &&
         (type.getRank() == 0 || (type.getRank() == 1 && xType.getRank() > 1 && type.getDimSize(0) > 0 &&
                                  xType.getDimSize(0) % type.getDimSize(0) == 0));
}

/// In a sharding rule: groups are split as the tokens' first dimension is.
std::string getGroupSpec(Value perGroup, StringRef tokens) {
  return getTensorType(perGroup).getRank() == 0 ? "" : tokens.take_front(1).str();
}

template <typename OpT> LogicalResult verifyOffset(OpT op) {
  if (!isScalar(op.getOffset(), IntegerType::get(op.getContext(), 32)))
    return op.emitOpError("offset must be tensor<i32>, but is ") << op.getOffset().getType();
  return success();
}

/// Multiply-adds of the logits: padding does not count.
template <typename OpT> int64_t countProducts(OpT op) {
  int64_t rows = getTensorType(op.getWeight()).getDimSize(0);
  return countElements(op.getX()) * std::min(rows, static_cast<int64_t>(op.getVocabulary()));
}

} // namespace

Value primus::graph::buildJointLse(OpBuilder &builder, Location loc, Value parts, RankedTensorType type) {
  GraphBuilder b(builder, loc);
  Value largest = ReduceOp::create(builder, loc, type, ReduceKind::Max, parts, ArrayRef<int64_t>{0});
  auto dims = llvm::to_vector(llvm::seq<int64_t>(1, getTensorType(parts).getRank()));
  Value terms = b.exp(b.sub(parts, BroadcastOp::create(builder, loc, parts.getType(), largest, dims)));
  Value total = ReduceOp::create(builder, loc, type, ReduceKind::Sum, terms, ArrayRef<int64_t>{0});
  return b.add(largest, b.log(total));
}

//===----------------------------------------------------------------------===//
// cross_entropy
//===----------------------------------------------------------------------===//

LogicalResult CrossEntropyOp::verify() {
  if (failed(verifyCrossEntropy(*this)))
    return failure();
  if (!isPerGroup(getLoss(), getX()) || getLoss().getType() != getValid().getType())
    return emitOpError("loss and valid must be tensor<f32>, or f32 [groups] where that number divides x's first "
                       "dimension, but are ")
           << getLoss().getType() << " and " << getValid().getType();
  return success();
}

SmallVector<Value> CrossEntropyOp::decompose(OpBuilder &builder) {
  Logits<CrossEntropyOp> l(*this, builder);
  GraphBuilder &b = l.b;
  Value lse = l.buildLse(/*maybeEmpty=*/false);
  Value losses = b.select(l.valid, b.sub(lse, l.buildTarget()), b.splatLike(lse, 0));
  ArrayRef<int64_t> sums = getTensorType(getLoss()).getShape();
  return {l.sumGroups(losses, sums), l.sumGroups(b.convert(l.valid, b.getF32()), sums), l.unflatten(lse)};
}

SmallVector<Value> CrossEntropyOp::buildVjp(OpBuilder &builder, ValueRange cotangents) {
  if (cotangents[2]) {
    emitOpError("has no gradient with respect to lse");
    return {};
  }
  if (!cotangents[0])
    return {Value(), Value(), Value()};
  Type weight = getTensorType(getWeight()).clone(builder.getF32Type());
  auto gradient = CrossEntropyGradOp::create(builder, getLoc(), TypeRange{getX().getType(), weight}, cotangents[0],
                                             getX(), getWeight(), getLabels(), getLse(), /*offset=*/Value(),
                                             getVocabularyAttr());
  return {gradient.getDx(), gradient.getDweight(), Value()};
}

/// The vocabulary is a factor that is not reduced: the ranks that share it combine their parts themselves.
ShardingRule CrossEntropyOp::getShardingRule() {
  std::string tokens = leadingLetters(getX(), 1);
  ShardingRule rule = makeRule(*this, {tokens + ".", "V.", tokens},
                               {getGroupSpec(getLoss(), tokens), getGroupSpec(getValid(), tokens), tokens});
  rule.reduced[rule.operands[1][0]] = false;
  return rule;
}

SmallVector<Value> CrossEntropyOp::localize(OpBuilder &builder, ValueRange operands, TypeRange types,
                                            Localizer &localizer) {
  RankedTensorType weight = getTensorType(operands[1]), type = cast<RankedTensorType>(types[2]);
  ArrayAttr axes = getSplitAxes(weight, 0);
  if (axes.empty())
    return cloneLocally(*this, builder, operands, types);
  GraphBuilder b(builder, getLoc());
  auto layout = cast<LayoutAttr>(type.getEncoding());
  // Each rank's lse is a lower bound of the whole one. The target's logit is in one of the parts.
  SmallVector<StringAttr> partial = llvm::to_vector(axes.getAsRange<StringAttr>());
  auto withPartial = [&](ReduceKind kind) {
    return RankedTensorType::get(type.getShape(), b.getF32(),
                                 layout.withPartial(partial, SmallVector<ReduceKind>(partial.size(), kind)));
  };
  Value offset = buildBlockOffset(builder, getLoc(), weight, 0, builder.getI32Type(), localizer);
  auto part = CrossEntropyPartOp::create(builder, getLoc(), withPartial(ReduceKind::Max), withPartial(ReduceKind::Sum),
                                         operands[0], operands[1], operands[2], offset, getVocabularyAttr());

  // The parts' lse side by side along a new first dimension, and the lse of these.
  auto withFirst = [&](int64_t size, ArrayAttr split) {
    SmallVector<int64_t> shape = {size};
    llvm::append_range(shape, type.getShape());
    SmallVector<ArrayAttr> dims = {split};
    llvm::append_range(dims, layout.getAxes());
    return RankedTensorType::get(shape, b.getF32(),
                                 LayoutAttr::get(getContext(), layout.getMesh(), dims, ArrayRef<StringAttr>(), ArrayRef<ReduceKind>()));
  };
  RankedTensorType all = withFirst(localizer.getSize(axes), builder.getArrayAttr({}));
  Value own = ReshapeOp::create(builder, getLoc(), withFirst(1, axes), part.getLse());
  Value parts = AllGatherOp::create(builder, getLoc(), all, own, axes, 0);
  Value lse = buildJointLse(builder, getLoc(), parts, type);
  auto tokenDims = llvm::to_vector(llvm::seq<int64_t>(0, type.getRank()));

  Value target = AllReduceOp::create(builder, getLoc(), type, ReduceKind::Sum, part.getTarget(), axes);
  Value isValid = b.compare(Predicate::GE, operands[2], 0);
  Value losses = b.select(isValid, b.sub(lse, target), b.splatLike(lse, 0));
  auto sum = [&](Type result, Value value) -> Value {
    auto sums = cast<RankedTensorType>(result);
    if (sums.getRank() == 0)
      return ReduceOp::create(builder, getLoc(), result, ReduceKind::Sum, value, tokenDims);
    // The first dimension in groups.
    SmallVector<int64_t> shape = {sums.getDimSize(0), type.getDimSize(0) / sums.getDimSize(0)};
    llvm::append_range(shape, type.getShape().drop_front());
    SmallVector<ArrayAttr> dims(layout.getAxes());
    dims.insert(dims.begin() + 1, builder.getArrayAttr({}));
    auto split = LayoutAttr::get(getContext(), layout.getMesh(), dims, ArrayRef<StringAttr>(), ArrayRef<ReduceKind>());
    auto grouped = RankedTensorType::get(shape, b.getF32(), split);
    return ReduceOp::create(builder, getLoc(), result, ReduceKind::Sum,
                            ReshapeOp::create(builder, getLoc(), grouped, value).getResult(),
                            llvm::to_vector(llvm::seq<int64_t>(1, grouped.getRank())));
  };
  return {sum(types[0], losses), sum(types[1], b.toF32(isValid)), lse};
}

Cost CrossEntropyOp::getCost() { return makeCost(*this, 2 * countProducts(*this)); }

//===----------------------------------------------------------------------===//
// cross_entropy_part
//===----------------------------------------------------------------------===//

LogicalResult CrossEntropyPartOp::verify() {
  RankedTensorType target = getTensorType(getTarget());
  if (target.getShape() != getTensorType(getX()).getShape().drop_back() || !target.getElementType().isF32())
    return emitOpError("target must be f32 [tokens...], but is ") << target;
  if (failed(verifyOffset(*this)))
    return failure();
  return verifyCrossEntropy(*this, /*isPart=*/true);
}

SmallVector<Value> CrossEntropyPartOp::decompose(OpBuilder &builder) {
  Logits<CrossEntropyPartOp> l(*this, builder);
  return {l.unflatten(l.buildLse(/*maybeEmpty=*/true)), l.unflatten(l.buildTarget())};
}

/// The ranks that share the vocabulary have terms of both results.
ShardingRule CrossEntropyPartOp::getShardingRule() {
  std::string tokens = leadingLetters(getX(), 1);
  return makeRule(*this, {tokens + ".", "V.", tokens, ""}, {tokens, tokens});
}

Cost CrossEntropyPartOp::getCost() { return makeCost(*this, 2 * countProducts(*this)); }

//===----------------------------------------------------------------------===//
// cross_entropy_grad
//===----------------------------------------------------------------------===//

LogicalResult CrossEntropyGradOp::verify() {
  if (!isPerGroup(getDloss(), getX()))
    return emitOpError("dloss must be tensor<f32>, or f32 [groups] where that number divides x's first dimension, but is ")
           << getDloss().getType();
  RankedTensorType x = getTensorType(getX()), dx = getTensorType(getDx());
  if (dx.getShape() != x.getShape() || dx.getElementType() != x.getElementType())
    return emitOpError("dx must have x's shape and element type, but is ") << dx;
  RankedTensorType dweight = getTensorType(getDweight());
  if (dweight.getShape() != getTensorType(getWeight()).getShape() || !dweight.getElementType().isF32())
    return emitOpError("dweight must have the weight's shape, in f32, but is ") << dweight;
  if (getOffset() && failed(verifyOffset(*this)))
    return failure();
  return verifyCrossEntropy(*this, /*isPart=*/getOffset() != nullptr);
}

SmallVector<Value> CrossEntropyGradOp::decompose(OpBuilder &builder) {
  Logits<CrossEntropyGradOp> l(*this, builder);
  GraphBuilder &b = l.b;
  RankedTensorType type = getTensorType(getX());
  Value softmax = l.withoutPadding(b.exp(b.sub(l.logits, l.spread(l.flatten(getLse())))), 0);
  Value error = b.mul(b.sub(softmax, b.convert(l.target, b.getF32())), l.spread(l.spreadGroups(getDloss())));
  Value dlogits = b.convert(b.select(l.spread(l.valid), error, b.splatLike(error, 0)), type.getElementType());
  Value dx = b.matmul("tv,vh->th", dlogits, getWeight(), type.getElementType());
  return {b.reshape(dx, type.getShape()), b.matmul("tv,th->vh", dlogits, l.x, b.getF32())};
}

ShardingRule CrossEntropyGradOp::getShardingRule() {
  std::string tokens = leadingLetters(getX(), 1);
  SmallVector<std::string> operands = {getGroupSpec(getDloss(), tokens), tokens + ".", "V.", tokens, tokens};
  if (getOffset())
    operands.push_back("");
  return makeRule(*this, operands, {tokens + ".", "V."});
}

SmallVector<Value> CrossEntropyGradOp::localize(OpBuilder &builder, ValueRange operands, TypeRange types,
                                                Localizer &localizer) {
  RankedTensorType weight = getTensorType(operands[2]);
  if (getSplitAxes(weight, 0).empty())
    return cloneLocally(*this, builder, operands, types);
  Value offset = buildBlockOffset(builder, getLoc(), weight, 0, builder.getI32Type(), localizer);
  auto local = CrossEntropyGradOp::create(builder, getLoc(), types, operands[0], operands[1], operands[2], operands[3],
                                          operands[4], offset, getVocabularyAttr());
  return llvm::to_vector_of<Value>(local.getResults());
}

/// Two products; the logits, which are computed again, do not count.
Cost CrossEntropyGradOp::getCost() { return makeCost(*this, 4 * countProducts(*this)); }

//===- LocalReshape.cpp - Reshapes of what one rank has --------------------===//
//
// On one rank a reshape is also how a value gets another layout without being moved: a whole value that was divided by
// the number of ranks is a sum over them; the terms of a sum are, side by side, the parts of a larger value; and ring
// attention treats one rank's keys as all keys.
//
//===----------------------------------------------------------------------===//

#include "passes/verify/PhaseVerifiers.h"

#include "passes/placement/Layout.h"

using namespace mlir;
using namespace primus;
using namespace primus::placement;

std::optional<double> primus::findDivisor(Operation *op) {
  auto quotient = dyn_cast_if_present<graph::DivOp>(op);
  auto divisor = quotient ? quotient.getRhs().getDefiningOp<graph::ConstantOp>() : graph::ConstantOp();
  auto data = divisor ? dyn_cast<DenseElementsAttr>(divisor.getValue()) : DenseElementsAttr();
  if (!data || !data.isSplat() || !isa<FloatType>(data.getElementType()))
    return std::nullopt;
  return data.getSplatValue<APFloat>().convertToDouble();
}

namespace {

/// The number of an element of the whole tensor, written with one digit for each axis that splits a dimension and one for
/// each dimension of a rank's part. Two layouts hold the same elements in the same order if they have the same digits.
class Digits {
public:
  Digits(RankedTensorType type, const Layout &layout, graph::MeshAttr mesh, ArrayRef<StringAttr> without = {}) {
    for (auto [size, axes] : llvm::zip_equal(type.getShape(), layout.dims)) {
      for (StringAttr axis : axes)
        if (!llvm::is_contained(without, axis))
          add(axis, mesh.getSize(axis).value_or(1));
      add({}, size);
    }
  }

  bool operator==(const Digits &) const = default;

private:
  /// `axis` is null for the elements of one rank, whose neighbouring digits count as one.
  void add(StringAttr axis, int64_t size) {
    if (size == 1)
      return;
    if (!axis && !digits.empty() && !digits.back().first)
      digits.back().second *= size;
    else
      digits.push_back({axis, size});
  }

  SmallVector<std::pair<StringAttr, int64_t>> digits;
};

} // namespace

/// Those of `axes` that are not among `others`.
static Axes subtract(ArrayRef<StringAttr> axes, ArrayRef<StringAttr> others) {
  Axes result(axes);
  llvm::erase_if(result, [&](StringAttr axis) { return llvm::is_contained(others, axis); });
  return result;
}

/// The axes that split a dimension of the operand and none of the result.
static Axes getLostSplits(graph::ReshapeOp reshape) {
  Layout from(reshape.getOperand().getType()), to(reshape.getType());
  Axes lost;
  for (const Axes &axes : from.dims)
    for (StringAttr axis : axes)
      if (!to.splits(axis))
        lost.push_back(axis);
  return lost;
}

/// Keys and values of one rank may stand for all only in attention by ranks that share the tokens in the same way, which
/// attend to the others' as well.
template <typename OpT> static bool isKeyBlock(OpT op, Value block, ArrayRef<StringAttr> axes) {
  if (Layout(op.getQ().getType()).dims[1] != axes || llvm::is_contained({op.getQ(), op.getQueryPositions()}, block))
    return false;
  return llvm::is_contained({op.getK(), op.getV(), op.getKeyPositions()}, block);
}

static LogicalResult verifyKeyBlock(graph::ReshapeOp reshape, ArrayRef<StringAttr> axes) {
  for (Operation *user : reshape->getUsers()) {
    auto forward = dyn_cast<graph::AttentionOp>(user);
    auto backward = dyn_cast<graph::AttentionGradOp>(user);
    if ((forward && isKeyBlock(forward, reshape, axes)) || (backward && isKeyBlock(backward, reshape, axes)))
      continue;
    InFlightDiagnostic error = reshape.emitOpError() << "takes one rank's part for a value that ranks share over "
                                                     << placement::describe(axes);
    error.attachNote(user->getLoc()) << "read as the whole value here";
    return error;
  }
  return success();
}

/// The gradient of one rank's keys or values, which sums that travel with them take.
static bool isKeyBlockGradient(graph::ReshapeOp reshape, ArrayRef<StringAttr> axes) {
  auto gradient = reshape.getOperand().getDefiningOp<graph::AttentionGradOp>();
  if (!gradient || reshape.getOperand() == gradient.getDq())
    return false;
  auto keys = gradient.getK().getDefiningOp<graph::ReshapeOp>();
  return keys && Axes(getLostSplits(keys)) == Axes(axes) && Layout(reshape.getType()).dims[1] == axes;
}

/// True if the terms of a sum over `axes` are along a dimension of their own.
static bool areSideBySide(RankedTensorType type, ArrayRef<StringAttr> axes) {
  return llvm::any_of(llvm::zip_equal(type.getShape(), Layout(type).dims),
                      [&](auto pair) { return std::get<0>(pair) == 1 && std::get<1>(pair) == axes; });
}

LogicalResult primus::verifyLocalReshape(graph::ReshapeOp reshape, graph::MeshAttr mesh) {
  auto fromType = cast<RankedTensorType>(reshape.getOperand().getType()), toType = cast<RankedTensorType>(reshape.getType());
  Layout from(fromType), to(toType);
  Axes added = subtract(to.partial, from.partial), dropped = subtract(from.partial, to.partial);
  if (!added.empty() && !to.maximum && findDivisor(reshape.getOperand().getDefiningOp()) != double(getGroupSize(mesh, added)))
    return reshape.emitOpError() << "makes a sum over " << placement::describe(added)
                                 << " of a value that was not divided by the number of their ranks";
  if (!dropped.empty()) {
    bool isKept = Digits(fromType, from, mesh) == Digits(toType, to, mesh, /*without=*/dropped) &&
                  (areSideBySide(toType, dropped) || isKeyBlockGradient(reshape, dropped));
    if (!isKept)
      return reshape.emitOpError() << "drops the sum over " << placement::describe(dropped)
                                   << " that its operand still needs";
    return success();
  }
  if (Digits(fromType, from, mesh) == Digits(toType, to, mesh))
    return success();
  Axes lost = getLostSplits(reshape);
  if (!lost.empty() && Digits(fromType, from, mesh, /*without=*/lost) == Digits(toType, to, mesh))
    return verifyKeyBlock(reshape, lost);
  return reshape.emitOpError() << "gives a rank other elements than it has: its operand's layout is " << from.describe()
                               << ", its result's " << to.describe();
}

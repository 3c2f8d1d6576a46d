//===- FormFusions.cpp - Group ops into kernels ---------------------------===//

#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/fusion/ExtraPasses.h"
#include "passes/fusion/Grouping.h"
#include "passes/fusion/NormalForm.h"

#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace primus;

namespace primus {
#define GEN_PASS_DEF_FORMFUSIONS
#include "passes/Passes.h.inc"
} // namespace primus

namespace {

/// Rebuilds a function's body from groups.
class FusionBuilder {
public:
  FusionBuilder(func::FuncOp function, const fusion::Grouping &grouping)
      : grouping(grouping), terminator(function.front().getTerminator()), builder(terminator) {}

  LogicalResult run();

private:
  LogicalResult build(const fusion::Group &group);
  /// The value in the new body: views are made where they are first needed.
  Value materialise(Value value);

  const fusion::Grouping &grouping;
  Operation *terminator;
  OpBuilder builder;
  IRMapping mapping;
};

struct FormFusions : primus::impl::FormFusionsBase<FormFusions> {
  void runOnOperation() override {
    int64_t products = 0;
    getOperation().walk([&](graph::ScaledMatmulOp) { ++products; });
    if (products != 0)
      getOperation()->setAttr(fusion::kQuantisedProductsAttr, Builder(&getContext()).getI64IntegerAttr(products));
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (function->hasAttr(graph::kLayerAttr) && failed(run(function)))
        return signalPassFailure();
  }
  static LogicalResult run(func::FuncOp function);
};

} // namespace

Value FusionBuilder::materialise(Value value) {
  if (Value known = mapping.lookupOrNull(value))
    return known;
  Operation *op = value.getDefiningOp();
  if (!op)
    return value;
  assert(fusion::isView(op) && "all else is in a group");
  materialise(op->getOperand(0));
  return builder.clone(*op, mapping)->getResult(0);
}

/// The op after which the kernel is named: the most expensive one.
static Operation *getMainOp(const fusion::Group &group) {
  for (Operation *op : group.nodes)
    if (isa<graph::MatmulOp, graph::ScaledMatmulOp>(op))
      return op;
  return group.nodes.back();
}

LogicalResult FusionBuilder::build(const fusion::Group &group) {
  fusion::Kernel kernel = grouping.getKernel(group);
  // What nothing reads is not computed.
  if (kernel.outputs.empty())
    return success();
  if (fusion::isCollective(group)) {
    Operation *op = group.nodes.front();
    mapping.map(op->getOperand(0), materialise(op->getOperand(0)));
    builder.clone(*op, mapping);
    return success();
  }
  std::string reason;
  const kernels::KernelFamily *family = grouping.findFamily(kernel, reason);
  if (!family)
    return group.nodes.front()->emitOpError("has no kernel: ") << reason;

  SmallVector<Value> inputs;
  SmallVector<Type> types, inputTypes;
  SmallVector<Location> locations;
  for (Value input : kernel.inputs) {
    inputs.push_back(materialise(input));
    inputTypes.push_back(input.getType());
    locations.push_back(input.getLoc());
  }
  for (Value output : kernel.outputs)
    types.push_back(output.getType());
  auto result = graph::FusionOp::create(builder, getMainOp(group)->getLoc(), types, family->getName(), inputs);
  Block &body = result.getBody().emplaceBlock();
  body.addArguments(inputTypes, locations);

  IRMapping inner;
  inner.map(kernel.inputs.getArrayRef(), body.getArguments());
  OpBuilder bodyBuilder = OpBuilder::atBlockEnd(&body);
  for (Operation *op : kernel.ops)
    bodyBuilder.clone(*op, inner);
  SmallVector<Value> yields;
  for (auto [index, output] : llvm::enumerate(kernel.outputs)) {
    yields.push_back(inner.lookup(output));
    mapping.map(output, result.getResult(index));
  }
  graph::YieldOp::create(bodyBuilder, result.getLoc(), yields);
  return success();
}

LogicalResult FusionBuilder::run() {
  Block &block = *terminator->getBlock();
  SmallVector<Operation *> old;
  for (Operation &op : block.without_terminator())
    old.push_back(&op);
  for (const fusion::Group &group : grouping.getOrderedGroups())
    if (failed(build(group)))
      return failure();
  SmallVector<Value> results;
  for (Value operand : terminator->getOperands())
    results.push_back(materialise(operand));
  terminator->setOperands(results);
  for (Operation *op : llvm::reverse(old))
    op->erase();
  return success();
}

LogicalResult FormFusions::run(func::FuncOp function) {
  if (failed(fusion::normalise(function)))
    return failure();
  fusion::Grouping grouping(function);
  if (failed(grouping.run()))
    return failure();
  for (const fusion::MissedFusion &missed : grouping.getMissed())
    remarkMissed(kFusionMissedRemark, function, missed.consumer->getLoc(), missed.bytes, [&] {
      return describe(missed.consumer) + " is not computed with " + describe(missed.producer) + ": " + missed.reason;
    });
  bool isHeard = function.getContext()->getRemarkEngine();
  for (const fusion::Group &group : isHeard ? grouping.getOrderedGroups() : SmallVector<fusion::Group>())
    for (Operation *copy : group.copies)
      remarkPassed(kFusionRecomputeRemark, function, copy->getLoc(), fusion::getBytes(copy->getResult(0)), [&] {
        return describe(copy) + " is computed once more in the kernel of " + describe(getMainOp(group)) + ", which would read more";
      });
  return FusionBuilder(function, grouping).run();
}

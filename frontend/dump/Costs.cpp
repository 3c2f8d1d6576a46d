//===- Costs.cpp - What a module costs to run ------------------------------===//

#include "frontend/dump/Costs.h"

#include "ir/kernel/KernelDialect.h"
#include "ir/step/StepDialect.h"
#include "passes/step/KernelFigures.h"

#include <algorithm>

using namespace mlir;
using namespace primus;
using namespace primus::cli;

int64_t cli::getBytes(Type type) {
  auto shaped = dyn_cast<ShapedType>(type);
  return shaped ? shaped.getNumElements() * std::max<int64_t>(shaped.getElementTypeBitWidth() / 8, 1) : 0;
}

int64_t cli::sumBytes(TypeRange types) {
  int64_t bytes = 0;
  for (Type type : types)
    bytes += getBytes(type);
  return bytes;
}

//===----------------------------------------------------------------------===//
// Rates
//===----------------------------------------------------------------------===//

double DeviceRates::getKernelSeconds(double flops, double bytes, Type element) const {
  if (!areKnown())
    return flops;
  double rate = !element                             ? 0
                : element.isBF16()                   ? hardware.bf16_flops()
                : element.isF16()                    ? hardware.f16_flops()
                : element.isF64()                    ? hardware.f64_flops()
                : element.getIntOrFloatBitWidth() == 8 ? hardware.f8_flops()
                                                     : 0;
  return std::max(flops / (rate > 0 ? rate : hardware.f32_flops()), bytes / hardware.memory_bandwidth());
}

int64_t DeviceRates::getStride(StringRef axis) const {
  int64_t stride = 1;
  for (auto [name, size] : llvm::reverse(llvm::zip_equal(mesh.getNames(), mesh.getSizes()))) {
    if (name.getValue() == axis)
      return stride;
    stride *= size;
  }
  return stride;
}

double DeviceRates::getSeconds(double bytes, bool isInNode, int64_t links) const {
  double bandwidth = isInNode ? hardware.link_bandwidth() * static_cast<double>(links) : hardware.network_bandwidth();
  return bandwidth > 0 ? bytes / bandwidth : 0;
}

double DeviceRates::getCollectiveSeconds(double bytes, ArrayAttr axes) const {
  if (!areKnown() || !mesh)
    return 0;
  int64_t group = 1, distance = 0;
  for (auto axis : axes.getAsRange<StringAttr>()) {
    int64_t size = mesh.getSize(axis.getValue()).value_or(1);
    group *= size;
    distance += (size - 1) * getStride(axis.getValue());
  }
  return getSeconds(bytes, distance <= hardware.links(), std::min(group - 1, hardware.links()));
}

double DeviceRates::getMessageSeconds(double bytes, StringRef axis) const {
  return areKnown() && mesh ? getSeconds(bytes, getStride(axis) <= hardware.links(), /*links=*/1) : 0;
}

//===----------------------------------------------------------------------===//
// Costs
//===----------------------------------------------------------------------===//

RunCost &RunCost::operator+=(const RunCost &other) {
  flops += other.flops;
  bytes += other.bytes;
  seconds += other.seconds;
  return *this;
}

/// The element type of the matrix products in an op; null if it has none.
static Type findProductType(Operation &op) {
  Type element;
  op.walk([&](Operation *inner) {
    if (isa<graph::MatmulOp, graph::AttentionOp, graph::AttentionGradOp>(inner))
      element = cast<ShapedType>(inner->getOperand(0).getType()).getElementType();
  });
  return element;
}

RunCost CostCounter::countCall(StringRef callee) {
  Operation *function = symbols.lookup(callee);
  if (!function || function->getNumRegions() == 0 || function->getRegion(0).empty())
    return {};
  if (auto found = known.find(function); found != known.end())
    return found->second;
  RunCost cost = count(function->getRegion(0).front());
  known[function] = cost;
  return cost;
}

RunCost CostCounter::countOne(Operation &op) {
  if (auto fusion = dyn_cast<graph::FusionOp>(op)) {
    double flops = 0;
    for (Operation &inner : fusion.getBody().front())
      flops += countOne(inner).flops;
    return {flops, static_cast<double>(sumBytes(op.getOperandTypes()) + sumBytes(op.getResultTypes()))};
  }
  if (auto launch = dyn_cast<step::LaunchOp>(op)) {
    auto kernel = symbols.lookup<kernel::FuncOp>(launch.getKernel());
    auto figure = [&](StringRef name, int64_t otherwise) {
      auto attribute = kernel ? kernel->getAttrOfType<IntegerAttr>(name) : IntegerAttr();
      return static_cast<double>(attribute ? attribute.getInt() : otherwise);
    };
    return {figure(step::kFlopsAttr, 0), figure(step::kBytesAttr, sumBytes(op.getOperandTypes()))};
  }
  if (isa<step::CopyOp, step::FillOp>(op))
    return {0, static_cast<double>(sumBytes(op.getOperandTypes()))};
  if (auto costed = dyn_cast<graph::Costed>(op)) {
    graph::Cost cost = costed.getCost();
    return {static_cast<double>(cost.flops), static_cast<double>(cost.bytes)};
  }
  return {};
}

RunCost CostCounter::count(Operation &op) {
  if (auto call = dyn_cast<graph::CallOp>(op))
    return countCall(call.getCallee());
  if (auto call = dyn_cast<step::CallOp>(op))
    return countCall(call.getCallee());
  if (auto schedule = dyn_cast<graph::ScheduleOp>(op))
    return count(schedule.getBody().front()) * static_cast<double>(schedule.getMicrobatches());
  if (auto loop = dyn_cast<step::LoopOp>(op))
    return count(loop.getBody().front()) * static_cast<double>(loop.getCount());
  RunCost cost = countOne(op);
  if (!rates)
    return cost;
  if (auto collective = dyn_cast<graph::CollectiveOpInterface>(op)) {
    auto mesh = op.getParentOfType<ModuleOp>()->getAttrOfType<graph::MeshAttr>(graph::kMeshAttr);
    int64_t group = mesh ? mesh.getGroupSize(collective.getAxes()).value_or(1) : 1;
    cost.seconds = rates->getCollectiveSeconds(static_cast<double>(collective.getBytesSent(group)), collective.getAxes());
  } else if (cost.flops > 0 || cost.bytes > 0) {
    cost.seconds = rates->getKernelSeconds(cost.flops, cost.bytes, findProductType(op));
  }
  return cost;
}

double CostCounter::findLength(Block &block, ArrayRef<double> seconds) {
  // When values are there, and until when kernels and the links of groups are busy.
  DenseMap<Value, double> ready;
  DenseMap<Attribute, double> links;
  double kernels = 0, length = 0;
  for (auto [op, own] : llvm::zip_equal(block, seconds)) {
    double end = 0;
    for (Value operand : op.getOperands())
      end = std::max(end, ready.lookup(operand));
    // What costs nothing, as a view, waits for nobody either.
    if (own > 0) {
      auto collective = dyn_cast<graph::CollectiveOpInterface>(op);
      double &busy = collective ? links[collective.getAxes()] : kernels;
      busy = end = std::max(end, busy) + own;
    }
    for (Value result : op.getResults())
      ready[result] = end;
    length = std::max(length, end);
  }
  return length;
}

RunCost CostCounter::count(Block &block) {
  RunCost sum;
  std::vector<double> seconds;
  for (Operation &op : block) {
    RunCost cost = count(op);
    sum += cost;
    seconds.push_back(cost.seconds);
  }
  sum.seconds = findLength(block, seconds);
  return sum;
}

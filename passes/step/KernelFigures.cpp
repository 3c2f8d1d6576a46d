//===- KernelFigures.cpp - What people want to know of kernels ------------===//

#include "passes/step/KernelFigures.h"
#include "passes/fusion/ExtraPasses.h"
#include "passes/step/Lowering.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

#include <map>

using namespace mlir;
using namespace primus;
using namespace primus::step;

/// Arithmetic of a tile program's instance, relative to other programs of the same fusion: a loop whose bounds depend on the instance
/// counts as one round, for they all walk the same tiles.
static double countArithmetic(Block &body) {
  double total = 0;
  for (Operation &op : body) {
    if (auto dot = dyn_cast<kernel::DotOp>(op)) {
      auto left = cast<ShapedType>(dot.getLhs().getType()), result = cast<ShapedType>(dot.getType());
      total += 2.0 * result.getNumElements() * left.getShape().back();
    } else if (op.getNumResults() == 1 && isa<FloatType>(getElementTypeOrSelf(op.getResult(0).getType())) &&
               op.getNumOperands() > 0 && !isa<kernel::LoadOp, kernel::BroadcastOp, kernel::TransposeOp>(op)) {
      auto tile = dyn_cast<ShapedType>(op.getResult(0).getType());
      total += tile ? tile.getNumElements() : 1;
    }
    double rounds = 1;
    if (auto loop = dyn_cast<scf::ForOp>(op))
      if (std::optional<llvm::APInt> count = loop.getStaticTripCount())
        rounds = count->getSExtValue();
    for (Region &region : op.getRegions())
      for (Block &inner : region)
        total += rounds * countArithmetic(inner);
  }
  return total;
}

static int64_t countInstances(kernel::FuncOp kernel) {
  int64_t instances = 1;
  for (int64_t size : kernel.getGrid())
    instances *= size;
  return instances;
}

/// What a launch moves: each buffer once, under however many shapes the kernel sees it.
static int64_t sumBytes(const kernels::Launch &launch) {
  std::map<std::tuple<kernels::Operand::Kind, unsigned, int64_t>, int64_t> sizes;
  for (const kernels::Operand &operand : launch.operands) {
    int64_t &size = sizes[{operand.kind, operand.index, operand.byteOffset}];
    size = std::max(size, getByteSize(operand.type));
  }
  int64_t bytes = 0;
  for (auto &[place, size] : sizes)
    bytes += size;
  return bytes;
}

void step::setKernelFigures(graph::FusionOp fusion, const kernels::LoweredFusion &lowered) {
  SmallVector<graph::Cost> costs;
  int64_t flops = 0;
  for (Operation &op : fusion.getBody().front())
    if (auto costed = dyn_cast<graph::Costed>(op)) {
      costs.push_back(costed.getCost());
      flops += costs.back().flops;
    }
  SmallVector<double> shares;
  double arithmetic = 0;
  for (const kernels::Launch &launch : lowered.launches) {
    kernel::FuncOp kernel = launch.kernel;
    shares.push_back(lowered.launches.size() == 1 ? 1.0 : countInstances(kernel) * countArithmetic(kernel.getBody().front()));
    arithmetic += shares.back();
  }
  Builder builder(fusion.getContext());
  StringAttr definedBy = builder.getStringAttr(fusion->getParentOfType<func::FuncOp>().getName());
  std::optional<StringRef> extra = fusion::explainExtraPass(fusion);
  int64_t left = flops;
  double before = 0;
  for (auto [index, launch] : llvm::enumerate(lowered.launches)) {
    // Rounded so that the parts add up to the whole.
    before += shares[index];
    int64_t rest = arithmetic == 0 ? 0 : flops - static_cast<int64_t>(flops * (before / arithmetic));
    int64_t bytes = sumBytes(launch);
    if (costs.size() == 1 && lowered.launches.size() == 1)
      bytes = costs.front().bytes;
    kernel::FuncOp kernel = launch.kernel;
    kernel->setAttr(kFlopsAttr, builder.getI64IntegerAttr(left - rest));
    kernel->setAttr(kBytesAttr, builder.getI64IntegerAttr(bytes));
    kernel->setAttr(kDefinedByAttr, definedBy);
    kernel->setAttr(kFamilyAttr, fusion.getFamilyAttr());
    if (extra)
      kernel->setAttr(kExtraPassAttr, builder.getStringAttr(*extra));
    left = rest;
  }
}

/// The location below a name.
static Location dropName(Location loc) {
  auto name = dyn_cast<NameLoc>(loc);
  return name ? name.getChildLoc() : loc;
}

void step::nameArguments(graph::FusionOp fusion, const kernels::Launch &launch) {
  kernel::FuncOp kernel = launch.kernel;
  kernel.getBody().walk([](Operation *op) { op->setLoc(dropName(op->getLoc())); });
  for (auto [argument, operand] : llvm::zip_equal(kernel.getBody().getArguments(), launch.operands)) {
    bool isInput = operand.kind == kernels::Operand::Input;
    Location loc = isInput ? fusion.getInputs()[operand.index].getLoc() : fusion.getLoc();
    std::string name = operand.kind == kernels::Operand::Temporary ? "temporary" : getName(loc, "");
    argument.setLoc(name.empty() ? dropName(loc) : NameLoc::get(StringAttr::get(kernel.getContext(), name), dropName(loc)));
  }
}

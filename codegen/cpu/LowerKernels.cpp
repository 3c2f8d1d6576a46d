//===- LowerKernels.cpp - Tile programs to LLVM for the CPU ---------------===//

#include "codegen/cpu/LowerKernels.h"

#include "codegen/cpu/KernelLowering.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/LLVMCommon/ConversionTarget.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace primus;
using namespace primus::codegen;

KernelLowering::KernelLowering(kernel::FuncOp function, const CpuTarget &target, ModuleOp module)
    : function(function), target(target), module(module),
      b(function.getLoc(), OpBuilder::atBlockEnd(module.getBody()), target) {}

LogicalResult KernelLowering::lower() {
  for (auto [i, type] : llvm::enumerate(function.getArgumentTypes())) {
    auto memref = dyn_cast<MemRefType>(type);
    SmallVector<int64_t> strides;
    int64_t offset;
    if (!memref || !memref.hasStaticShape() || failed(memref.getStridesAndOffset(strides, offset)) || offset != 0 ||
        llvm::is_contained(strides, ShapedType::kDynamic))
      return function.emitOpError() << "argument " << i << " is " << type
                                    << "; the CPU target needs memrefs of static shape and strides without offset";
  }
  auto pointer = LLVM::LLVMPointerType::get(b.getContext());
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()), {pointer, b.getI64Type(), b.getI64Type()});
  lowered = LLVM::LLVMFuncOp::create(b, function.getSymName(), type);
  Block *entry = lowered.addEntryBlock(b);
  b.setInsertionPointToStart(entry);
  for (BlockArgument argument : function.getBody().getArguments()) {
    Value slot = b.offset(entry->getArgument(0), 8 * argument.getArgNumber());
    define(argument, {b.load(pointer, slot)});
  }
  auto loop = scf::ForOp::create(b, entry->getArgument(1), entry->getArgument(2), b.i64(1));
  LLVM::ReturnOp::create(b, ValueRange());
  b.setInsertionPointToStart(loop.getBody());

  // The linear index, first dimension slowest.
  Value rest = loop.getInductionVar();
  ArrayRef<int64_t> grid = function.getGrid();
  programIds.resize(grid.size());
  for (size_t dim = grid.size(); dim-- > 1;) {
    Value size = b.i64(grid[dim]);
    programIds[dim] = arith::RemUIOp::create(b, rest, size);
    rest = arith::DivUIOp::create(b, rest, size);
  }
  programIds[0] = rest;
  return lowerBlock(function.getBody().front());
}

SmallVector<Type> KernelLowering::partTypes(Type type) {
  if (auto tile = dyn_cast<RankedTensorType>(type)) {
    TileLayout layout = TileLayout::get(tile, target.lanes());
    return SmallVector<Type>(layout.size(), layout.vectorType());
  }
  return {getStorageType(type)};
}

void KernelLowering::define(Value value, Parts parts) {
  values[value] = std::move(parts);
  if (needsSpill(value))
    spill(value);
}

Value KernelLowering::allocate(int64_t bytes) {
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(&lowered.getBody().front());
  return LLVM::AllocaOp::create(b, LLVM::LLVMPointerType::get(b.getContext()), b.getI8Type(), b.i64(bytes),
                                /*alignment=*/64);
}

LogicalResult KernelLowering::checkTypes(Operation *op) {
  // Far more than registers hold; beyond it compile time explodes.
  constexpr int64_t largest = 2048;
  for (Value result : op->getResults()) {
    auto tile = dyn_cast<RankedTensorType>(result.getType());
    if (!tile)
      continue;
    if (tile.getRank() < 1 || tile.getRank() > 2 || !tile.hasStaticShape() || tile.getNumElements() == 0)
      return op->emitOpError() << "has a tile of type " << tile
                               << "; the CPU target needs tiles of one or two static, positive dimensions";
    if (TileLayout::get(tile, target.lanes()).size() > largest)
      return op->emitOpError() << "has a tile of type " << tile << ", more than " << largest
                               << " vectors; loop over smaller tiles";
  }
  return success();
}

LogicalResult KernelLowering::lowerBlock(Block &block) {
  for (Operation &op : block.without_terminator()) {
    b.setLoc(op.getLoc());
    if ((!isa<kernel::LoadOp>(op) && failed(checkTypes(&op))) || failed(lowerOp(&op)))
      return failure();
  }
  return success();
}

LogicalResult KernelLowering::lowerOp(Operation *op) {
  return TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](kernel::ProgramIdOp id) {
        define(id, {programIds[id.getDim()]});
        return success();
      })
      .Case([&](kernel::LoadOp load) { return lowerLoad(load); })
      .Case([&](kernel::StoreOp store) { return lowerStore(store); })
      .Case([&](kernel::DotOp dot) { return lowerDot(dot); })
      .Case([&](kernel::ReduceOp reduce) { return lowerReduce(reduce); })
      .Case([&](kernel::BroadcastOp broadcast) { return lowerBroadcast(broadcast); })
      .Case([&](kernel::IotaOp iota) { return lowerIota(iota); })
      .Case([&](kernel::TransposeOp transpose) { return lowerTranspose(transpose); })
      .Case([&](scf::ForOp loop) { return lowerFor(loop); })
      .Case([&](scf::IfOp branch) { return lowerIf(branch); })
      .Case([&](arith::ConstantOp constant) { return lowerConstant(constant); })
      .Default([&](Operation *other) { return lowerElementwise(other); });
}

/// Splits a flat list of registers into the values that they belong to.
static void distribute(ValueRange registers, ValueRange values, function_ref<size_t(Type)> count,
                       function_ref<void(Value, Parts)> define) {
  for (Value value : values) {
    size_t size = count(value.getType());
    define(value, Parts(registers.take_front(size)));
    registers = registers.drop_front(size);
  }
}

LogicalResult KernelLowering::lowerFor(scf::ForOp loop) {
  auto flatten = [&](ValueRange tiles) {
    Parts flat;
    for (Value tile : tiles)
      llvm::append_range(flat, partsOf(tile));
    return flat;
  };
  auto count = [&](Type type) { return partTypes(type).size(); };
  auto set = [&](Value value, Parts parts) { define(value, std::move(parts)); };

  auto result = scf::ForOp::create(b, scalarOf(loop.getLowerBound()), scalarOf(loop.getUpperBound()),
                                   scalarOf(loop.getStep()), flatten(loop.getInitArgs()));
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(result.getBody());
    define(loop.getInductionVar(), {result.getInductionVar()});
    distribute(result.getRegionIterArgs(), loop.getRegionIterArgs(), count, set);
    if (failed(lowerBlock(*loop.getBody())))
      return failure();
    if (loop.getNumResults())
      scf::YieldOp::create(b, flatten(loop.getBody()->getTerminator()->getOperands()));
  }
  b.setInsertionPointAfter(result);
  distribute(result.getResults(), loop.getResults(), count, set);
  return success();
}

LogicalResult KernelLowering::lowerIf(scf::IfOp branch) {
  SmallVector<Type> types;
  for (Type type : branch.getResultTypes())
    llvm::append_range(types, partTypes(type));
  bool hasElse = !branch.getElseRegion().empty();
  auto result = scf::IfOp::create(b, types, scalarOf(branch.getCondition()), /*addThenBlock=*/true, hasElse);
  for (auto [from, to] : llvm::zip(branch->getRegions(), result->getRegions())) {
    if (from.empty())
      continue;
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&to.front());
    if (failed(lowerBlock(from.front())))
      return failure();
    Parts flat;
    for (Value tile : from.front().getTerminator()->getOperands())
      llvm::append_range(flat, partsOf(tile));
    if (to.front().mightHaveTerminator())
      to.front().getTerminator()->erase();
    scf::YieldOp::create(b, flat);
  }
  b.setInsertionPointAfter(result);
  distribute(
      result.getResults(), branch.getResults(), [&](Type type) { return partTypes(type).size(); },
      [&](Value value, Parts parts) { define(value, std::move(parts)); });
  return success();
}

void primus::codegen::loadCpuDialects(MLIRContext &context) {
  context.loadDialect<arith::ArithDialect, cf::ControlFlowDialect, LLVM::LLVMDialect, math::MathDialect, scf::SCFDialect>();
}

FailureOr<OwningOpRef<ModuleOp>> primus::codegen::lowerKernel(kernel::FuncOp kernel, const CpuTarget &target) {
  OwningOpRef<ModuleOp> module = ModuleOp::create(kernel.getLoc());
  if (failed(KernelLowering(kernel, target, *module).lower()))
    return failure();
  return module;
}

LogicalResult primus::codegen::convertToLLVM(ModuleOp module) {
  MLIRContext *context = module.getContext();
  LLVMTypeConverter converter(context);
  RewritePatternSet patterns(context);
  populateSCFToControlFlowConversionPatterns(patterns);
  cf::populateControlFlowToLLVMConversionPatterns(converter, patterns);
  arith::populateArithToLLVMConversionPatterns(converter, patterns);
  populateMathToLLVMConversionPatterns(converter, patterns);
  LLVMConversionTarget target(*context);
  target.addLegalOp<ModuleOp>();
  return applyFullConversion(module, target, std::move(patterns));
}

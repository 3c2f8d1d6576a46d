//===- Lds.cpp - Memory that the waves of a workgroup share ---------------===//

#include "codegen/hip/KernelLowering.h"

#include "mlir/Dialect/LLVMIR/ROCDLDialect.h"

using namespace mlir;
using namespace primus;
using namespace primus::codegen;
using namespace primus::codegen::hip;

static constexpr unsigned ldsSpace = 3;

int64_t KernelLowering::allocateLds(int64_t bytes) {
  int64_t offset = ldsTop;
  ldsTop += llvm::alignTo(bytes, 16);
  ldsSize = std::max(ldsSize, ldsTop);
  return offset;
}

void KernelLowering::releaseLds(int64_t offset) { ldsTop = offset; }

Value KernelLowering::getLdsPointer(int64_t offset, Value bytes) {
  auto pointer = LLVM::LLVMPointerType::get(b.getContext(), ldsSpace);
  if (!lds) {
    // Its size is known at the end.
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(kernel);
    lds = LLVM::GlobalOp::create(b, LLVM::LLVMArrayType::get(b.getI8Type(), 0), /*isConstant=*/false,
                                 LLVM::Linkage::Internal, (kernel.getName() + ".lds").str(), Attribute(),
                                 /*alignment=*/16, ldsSpace);
  }
  Value base = LLVM::AddressOfOp::create(b, pointer, lds.getSymName());
  if (bytes)
    base = LLVM::GEPOp::create(b, pointer, b.getI8Type(), base, ArrayRef<LLVM::GEPArg>{bytes});
  if (offset != 0)
    base = LLVM::GEPOp::create(b, pointer, b.getI8Type(), base, ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(offset)});
  return base;
}

void KernelLowering::ldsBarrier() {
  // Only LDS must be up to date: loads from memory that are on their way stay there.
  Attribute onlyLds = LLVM::MMRATagAttr::get(b.getContext(), "amdgpu-synchronize-as", "local");
  auto fence = [&](LLVM::AtomicOrdering ordering) {
    LLVM::FenceOp::create(b, ordering, "workgroup")->setDiscardableAttr(LLVM::LLVMDialect::getMmraAttrName(), onlyLds);
  };
  fence(LLVM::AtomicOrdering::release);
  ROCDL::SBarrierOp::create(b);
  fence(LLVM::AtomicOrdering::acquire);
}

bool KernelLowering::isInRegion() { return !isa<LLVM::LLVMFuncOp>(b.getBlock()->getParentOp()); }

void KernelLowering::startLds(int64_t offset) {
  // The first to use a region waits for nobody, unless it is in a loop, whose earlier iterations did.
  if (offset < ldsUsed || isInRegion())
    ldsBarrier();
  ldsUsed = std::max(ldsUsed, ldsTop);
}

LogicalResult KernelLowering::finishLds() {
  if (!lds)
    return success();
  int64_t most = getLdsLimit();
  if (ldsSize > most)
    return kernel.emitOpError("needs ") << ldsSize << " bytes of LDS, but a workgroup of " << chip << " has at most "
                                        << most << "; choose smaller tiles";
  lds.setGlobalType(LLVM::LLVMArrayType::get(b.getI8Type(), ldsSize));
  return success();
}

//===- Mfma.cpp - The matrix instructions of AMD GPUs ---------------------===//

#include "codegen/hip/Mfma.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace primus::codegen;
using hip::Mfma;

/// The cycles agree with the peak rates of AMD's data sheets: per cycle and SIMD 512 operations on 16-bit floats
/// (gfx942), 1024 (gfx950), and 64 on f32.
static constexpr Mfma mfmas[] = {
    {"v_mfma_f32_32x32x2_f32", "llvm.amdgcn.mfma.f32.32x32x2f32", Mfma::F32, 32, 2, 64, true},
    {"v_mfma_f32_16x16x4_f32", "llvm.amdgcn.mfma.f32.16x16x4f32", Mfma::F32, 16, 4, 32, true},
    {"v_mfma_f32_32x32x8_f16", "llvm.amdgcn.mfma.f32.32x32x8f16", Mfma::F16, 32, 8, 32, true},
    {"v_mfma_f32_16x16x16_f16", "llvm.amdgcn.mfma.f32.16x16x16f16", Mfma::F16, 16, 16, 16, true},
    {"v_mfma_f32_32x32x8_bf16", "llvm.amdgcn.mfma.f32.32x32x8bf16.1k", Mfma::Bf16, 32, 8, 32, true},
    {"v_mfma_f32_16x16x16_bf16", "llvm.amdgcn.mfma.f32.16x16x16bf16.1k", Mfma::Bf16, 16, 16, 16, true},
    {"v_mfma_f32_32x32x16_f16", "llvm.amdgcn.mfma.f32.32x32x16.f16", Mfma::F16, 32, 16, 32, false},
    {"v_mfma_f32_16x16x32_f16", "llvm.amdgcn.mfma.f32.16x16x32.f16", Mfma::F16, 16, 32, 16, false},
    {"v_mfma_f32_32x32x16_bf16", "llvm.amdgcn.mfma.f32.32x32x16.bf16", Mfma::Bf16, 32, 16, 32, false},
    {"v_mfma_f32_16x16x32_bf16", "llvm.amdgcn.mfma.f32.16x16x32.bf16", Mfma::Bf16, 16, 32, 16, false},
};

ArrayRef<Mfma> hip::getMfmas() { return mfmas; }

const Mfma *hip::findMfma(StringRef chip, Type element, int64_t size) {
  const Mfma *found = nullptr;
  for (const Mfma &mfma : mfmas) {
    bool multiplies = mfma.element == Mfma::F32 ? element.isF32() :
        mfma.element == Mfma::F16 ? element.isF16() : element.isBF16();
    if (multiplies && mfma.size == size && (mfma.onGfx942 || chip == "gfx950"))
      found = &mfma;
  }
  return found;
}

Value hip::emitMfma(ImplicitLocOpBuilder &b, const Mfma &mfma, Value lhs, Value rhs, Value acc) {
  // The intrinsics of gfx942 take one f32 as it is, and bf16 as their bits.
  auto adapt = [&](Value operand) -> Value {
    if (mfma.element == Mfma::F32)
      return vector::ExtractOp::create(b, operand, 0);
    if (mfma.element == Mfma::Bf16 && mfma.onGfx942)
      return LLVM::BitcastOp::create(b, VectorType::get(mfma.perLane(), b.getI16Type()), operand);
    return operand;
  };
  // No broadcast within A, no permutation of B's lanes.
  Value none = arith::ConstantIntOp::create(b, 0, 32);
  SmallVector<Value> operands{adapt(lhs), adapt(rhs), acc, none, none, none};
  return LLVM::CallIntrinsicOp::create(b, acc.getType(), b.getStringAttr(mfma.intrinsic), operands).getResult(0);
}

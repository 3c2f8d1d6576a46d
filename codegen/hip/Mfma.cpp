//===- Mfma.cpp - The matrix instructions of AMD GPUs ---------------------===//

#include "codegen/hip/Mfma.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace primus::codegen;
using hip::Mfma;

/// The cycles agree with the peak rates of AMD's data sheets: per cycle and SIMD 512 operations on 16-bit floats
/// (gfx942), 1024 (gfx950), twice as many on 8-bit ones (on gfx950 by f8f6f4 only), and 64 on f32.
static constexpr Mfma mfmas[] = {
    {"v_mfma_f32_32x32x2_f32", "llvm.amdgcn.mfma.f32.32x32x2f32", Mfma::F32, Mfma::F32, 32, 2, 64, true},
    {"v_mfma_f32_16x16x4_f32", "llvm.amdgcn.mfma.f32.16x16x4f32", Mfma::F32, Mfma::F32, 16, 4, 32, true},
    {"v_mfma_f32_32x32x8_f16", "llvm.amdgcn.mfma.f32.32x32x8f16", Mfma::F16, Mfma::F16, 32, 8, 32, true},
    {"v_mfma_f32_16x16x16_f16", "llvm.amdgcn.mfma.f32.16x16x16f16", Mfma::F16, Mfma::F16, 16, 16, 16, true},
    {"v_mfma_f32_32x32x8_bf16", "llvm.amdgcn.mfma.f32.32x32x8bf16.1k", Mfma::Bf16, Mfma::Bf16, 32, 8, 32, true},
    {"v_mfma_f32_16x16x16_bf16", "llvm.amdgcn.mfma.f32.16x16x16bf16.1k", Mfma::Bf16, Mfma::Bf16, 16, 16, 16, true},
    {"v_mfma_f32_32x32x16_f16", "llvm.amdgcn.mfma.f32.32x32x16.f16", Mfma::F16, Mfma::F16, 32, 16, 32, false},
    {"v_mfma_f32_16x16x32_f16", "llvm.amdgcn.mfma.f32.16x16x32.f16", Mfma::F16, Mfma::F16, 16, 32, 16, false},
    {"v_mfma_f32_32x32x16_bf16", "llvm.amdgcn.mfma.f32.32x32x16.bf16", Mfma::Bf16, Mfma::Bf16, 32, 16, 32, false},
    {"v_mfma_f32_16x16x32_bf16", "llvm.amdgcn.mfma.f32.16x16x32.bf16", Mfma::Bf16, Mfma::Bf16, 16, 32, 16, false},
    {"v_mfma_f32_32x32x16_fp8_fp8", "llvm.amdgcn.mfma.f32.32x32x16.fp8.fp8", Mfma::Fp8, Mfma::Fp8, 32, 16, 32, true},
    {"v_mfma_f32_32x32x16_fp8_bf8", "llvm.amdgcn.mfma.f32.32x32x16.fp8.bf8", Mfma::Fp8, Mfma::Bf8, 32, 16, 32, true},
    {"v_mfma_f32_32x32x16_bf8_fp8", "llvm.amdgcn.mfma.f32.32x32x16.bf8.fp8", Mfma::Bf8, Mfma::Fp8, 32, 16, 32, true},
    {"v_mfma_f32_32x32x16_bf8_bf8", "llvm.amdgcn.mfma.f32.32x32x16.bf8.bf8", Mfma::Bf8, Mfma::Bf8, 32, 16, 32, true},
    {"v_mfma_f32_32x32x64_f8f6f4", "llvm.amdgcn.mfma.scale.f32.32x32x64.f8f6f4", Mfma::Fp8, Mfma::Fp8, 32, 64, 64, false, true},
    {"v_mfma_f32_32x32x64_f8f6f4", "llvm.amdgcn.mfma.scale.f32.32x32x64.f8f6f4", Mfma::Fp8, Mfma::Bf8, 32, 64, 64, false, true},
    {"v_mfma_f32_32x32x64_f8f6f4", "llvm.amdgcn.mfma.scale.f32.32x32x64.f8f6f4", Mfma::Bf8, Mfma::Fp8, 32, 64, 64, false, true},
    {"v_mfma_f32_32x32x64_f8f6f4", "llvm.amdgcn.mfma.scale.f32.32x32x64.f8f6f4", Mfma::Bf8, Mfma::Bf8, 32, 64, 64, false, true},
};

ArrayRef<Mfma> hip::getMfmas() { return mfmas; }

static bool isElement(StringRef chip, Mfma::Element element, Type type) {
  bool isFnuz = chip == "gfx942";
  switch (element) {
  case Mfma::F32:
    return type.isF32();
  case Mfma::F16:
    return type.isF16();
  case Mfma::Bf16:
    return type.isBF16();
  case Mfma::Fp8:
    return isFnuz ? isa<Float8E4M3FNUZType>(type) : isa<Float8E4M3FNType>(type);
  case Mfma::Bf8:
    return isFnuz ? isa<Float8E5M2FNUZType>(type) : isa<Float8E5M2Type>(type);
  }
  llvm_unreachable("all elements are handled");
}

const Mfma *hip::findMfma(StringRef chip, Type left, Type right, int64_t size) {
  const Mfma *found = nullptr;
  for (const Mfma &mfma : mfmas)
    if (isElement(chip, mfma.left, left) && isElement(chip, mfma.right, right) && mfma.size == size &&
        (mfma.onGfx942 || chip == "gfx950"))
      found = &mfma;
  return found;
}

Value hip::emitMfma(ImplicitLocOpBuilder &b, const Mfma &mfma, Value lhs, Value rhs, Value acc,
                    const MfmaFactors &factors) {
  // The intrinsics of gfx942 take one f32 as it is, bf16 as their bits, and eight bytes as one number.
  auto adapt = [&](Value operand) -> Value {
    if (mfma.left == Mfma::F32)
      return vector::ExtractOp::create(b, operand, 0);
    if (mfma.left == Mfma::Bf16 && mfma.onGfx942)
      return LLVM::BitcastOp::create(b, VectorType::get(mfma.perLane(), b.getI16Type()), operand);
    if (mfma.isScaled)
      return LLVM::BitcastOp::create(b, VectorType::get(mfma.perLane() / 4, b.getI32Type()), operand);
    if (mfma.left == Mfma::Fp8 || mfma.left == Mfma::Bf8)
      return LLVM::BitcastOp::create(b, b.getI64Type(), operand);
    return operand;
  };
  Value none = arith::ConstantIntOp::create(b, 0, 32);
  SmallVector<Value> operands{adapt(lhs), adapt(rhs), acc};
  if (mfma.isScaled) {
    // The formats; for each operand which byte of a scale, and the scale: without any the instruction takes none.
    auto getFormat = [&](Mfma::Element element) -> Value {
      return arith::ConstantIntOp::create(b, element == Mfma::Bf8 ? 1 : 0, 32);
    };
    operands.append({getFormat(mfma.left), getFormat(mfma.right)});
    Value byte = factors.left ? arith::ConstantIntOp::create(b, factors.byte, 32).getResult() : none;
    for (Value factor : {factors.left, factors.right})
      operands.append({byte, factor ? factor : none});
  } else {
    // No broadcast within A, no permutation of B's lanes.
    operands.append({none, none, none});
  }
  return LLVM::CallIntrinsicOp::create(b, acc.getType(), b.getStringAttr(mfma.intrinsic), operands).getResult(0);
}

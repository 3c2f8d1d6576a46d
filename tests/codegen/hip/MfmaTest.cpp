//===- MfmaTest.cpp - The table of matrix instructions --------------------===//

#include "codegen/hip/Mfma.h"
#include "tests/emulator/Matrix.h"

#include "llvm/ADT/STLExtras.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/MLIRContext.h"

#include <gtest/gtest.h>

using namespace primus::codegen::hip;

/// The emulator states the shapes on its own, from the same documents.
TEST(Mfma, AgreesWithTheEmulator) {
  for (const Mfma &mfma : getMfmas()) {
    SCOPED_TRACE(mfma.mnemonic.str());
    auto *shape = llvm::find_if(primus::emulator::kMatrixShapes,
                                [&](const auto &shape) { return mfma.mnemonic == shape.name; });
    ASSERT_NE(shape, std::end(primus::emulator::kMatrixShapes));
    EXPECT_EQ(mfma.size, shape->m);
    EXPECT_EQ(mfma.depth, shape->k);
    EXPECT_EQ(mfma.perLane(), shape->elements());
    EXPECT_EQ(mfma.results(), shape->results());
    EXPECT_EQ(mfma.onGfx942, !shape->isGfx950);
  }
}

TEST(Mfma, TheFastestOfAChip) {
  mlir::MLIRContext context;
  mlir::Builder builder(&context);
  auto findMfma = [](llvm::StringRef chip, mlir::Type element, int64_t size) {
    return primus::codegen::hip::findMfma(chip, element, element, size);
  };
  EXPECT_EQ(findMfma("gfx942", builder.getBF16Type(), 32)->mnemonic, "v_mfma_f32_32x32x8_bf16");
  EXPECT_EQ(findMfma("gfx950", builder.getBF16Type(), 32)->mnemonic, "v_mfma_f32_32x32x16_bf16");
  EXPECT_EQ(findMfma("gfx950", builder.getF16Type(), 16)->mnemonic, "v_mfma_f32_16x16x32_f16");
  EXPECT_EQ(findMfma("gfx950", builder.getF32Type(), 16)->mnemonic, "v_mfma_f32_16x16x4_f32");
  EXPECT_EQ(findMfma("gfx942", builder.getF64Type(), 32), nullptr);
}

TEST(Mfma, FormatsOfAChip) {
  mlir::MLIRContext context;
  auto fp8 = mlir::Float8E4M3FNType::get(&context);
  auto bf8 = mlir::Float8E5M2Type::get(&context);
  auto fnuzFp8 = mlir::Float8E4M3FNUZType::get(&context);
  auto fnuzBf8 = mlir::Float8E5M2FNUZType::get(&context);
  EXPECT_EQ(findMfma("gfx942", fnuzFp8, fnuzBf8, 32)->mnemonic, "v_mfma_f32_32x32x16_fp8_bf8");
  EXPECT_EQ(findMfma("gfx942", fnuzBf8, fnuzFp8, 32)->mnemonic, "v_mfma_f32_32x32x16_bf8_fp8");
  const Mfma *mixed = findMfma("gfx950", bf8, fp8, 32);
  EXPECT_EQ(mixed->mnemonic, "v_mfma_f32_32x32x64_f8f6f4");
  EXPECT_EQ(mixed->left, Mfma::Bf8);
  EXPECT_EQ(mixed->right, Mfma::Fp8);
  // The other formats mean other numbers by the same bits.
  EXPECT_EQ(findMfma("gfx942", fp8, fp8, 32), nullptr);
  EXPECT_EQ(findMfma("gfx950", fnuzFp8, fnuzFp8, 32), nullptr);
  EXPECT_EQ(findMfma("gfx950", fp8, mlir::BFloat16Type::get(&context), 32), nullptr);
}

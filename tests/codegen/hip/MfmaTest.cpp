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
  EXPECT_EQ(findMfma("gfx942", builder.getBF16Type(), 32)->mnemonic, "v_mfma_f32_32x32x8_bf16");
  EXPECT_EQ(findMfma("gfx950", builder.getBF16Type(), 32)->mnemonic, "v_mfma_f32_32x32x16_bf16");
  EXPECT_EQ(findMfma("gfx950", builder.getF16Type(), 16)->mnemonic, "v_mfma_f32_16x16x32_f16");
  EXPECT_EQ(findMfma("gfx950", builder.getF32Type(), 16)->mnemonic, "v_mfma_f32_16x16x4_f32");
  EXPECT_EQ(findMfma("gfx942", builder.getF64Type(), 32), nullptr);
}

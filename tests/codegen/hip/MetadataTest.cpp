//===- MetadataTest.cpp - What code objects say of their kernels ----------===//

#include "codegen/hip/CompileKernels.h"

#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace primus;
using namespace primus::codegen;

static int64_t getWaves(const char *chip, int64_t registers, int64_t accumulators, int64_t ldsBytes, int64_t lanes) {
  hip::KernelResources resources;
  resources.vectorRegisters = registers;
  resources.accumulatorRegisters = accumulators;
  resources.ldsBytes = ldsBytes;
  resources.workgroupSize = lanes;
  return hip::getWavesPerSimd(resources, chip);
}

TEST(Metadata, WavesThatFit) {
  EXPECT_EQ(getWaves("gfx942", 32, 0, 0, 64), 8);
  EXPECT_EQ(getWaves("gfx942", 65, 0, 0, 64), 7); // 72 are given out
  EXPECT_EQ(getWaves("gfx942", 128, 128, 0, 256), 2);
  EXPECT_EQ(getWaves("gfx942", 256, 71, 0, 256), 1);
  // LDS has room for two workgroups of four waves, one on each SIMD.
  EXPECT_EQ(getWaves("gfx942", 64, 0, 32 << 10, 256), 2);
  EXPECT_EQ(getWaves("gfx950", 64, 0, 32 << 10, 256), 5);
  EXPECT_EQ(getWaves("gfx942", 64, 0, 48 << 10, 64), 1);
}

TEST(Metadata, OfACompiledKernel) {
  MLIRContext context;
  context.loadDialect<kernel::KernelDialect, arith::ArithDialect, math::MathDialect, scf::SCFDialect>();
  auto module = parseSourceString<ModuleOp>(R"(
kernel.func @copy(%x: memref<4x256xf32>, %y: memref<4x256xf32>) grid [4] waves [2, 1] {
  %c0 = arith.constant 0 : index
  %i = kernel.program_id 0
  %t = kernel.load %x[%i, %c0] dims [1] : memref<4x256xf32> -> tensor<256xf32>
  kernel.store %t, %y[%i, %c0] dims [1] : tensor<256xf32>, memref<4x256xf32>
  kernel.return
})",
                                            &context);
  ASSERT_TRUE(module);
  for (const char *chip : {"gfx942", "gfx950"}) {
    auto first = hip::compileKernels(*module, chip), second = hip::compileKernels(*module, chip);
    ASSERT_TRUE(succeeded(first) && succeeded(second));
    ASSERT_EQ(first->size(), 1u);
    EXPECT_EQ(first->front().codeObject, second->front().codeObject) << "equal inputs give different bytes";
    const hip::KernelResources &resources = first->front().resources;
    EXPECT_EQ(resources.workgroupSize, 128);
    EXPECT_EQ(resources.kernargBytes, 16);
    EXPECT_EQ(resources.ldsBytes, 0);
    EXPECT_EQ(resources.scratchBytes, 0);
    EXPECT_EQ(resources.spills, 0);
    EXPECT_GT(resources.vectorRegisters, 0);
    std::string truncated = first->front().codeObject.substr(0, 100);
    EXPECT_FALSE(bool(llvm::expectedToOptional(hip::readMetadata(truncated))));
  }
}

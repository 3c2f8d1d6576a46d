//===- TargetTraitsTest.cpp - Targets from a module's attributes ----------===//

#include "ir/kernel/TargetTraits.h"

#include "mlir/IR/Builders.h"

#include <gtest/gtest.h>

using namespace mlir;
using primus::kernel::TargetTraits;

namespace {

TEST(TargetTraits, FollowsTheFeaturesOfTheCpu) {
  TargetTraits avx512 = TargetTraits::forCpu({"avx512f", "avx512vl", "avx512bw", "avx512dq", "avx512bf16"});
  EXPECT_EQ(avx512.lanes, 16);
  EXPECT_EQ(avx512.dotRows, 8);
  EXPECT_EQ(avx512.dotColumns, 32);
  EXPECT_TRUE(avx512.bf16Dot);
  EXPECT_FALSE(TargetTraits::forCpu({"avx512f", "avx512vl", "avx512bw", "avx512dq"}).bf16Dot);

  TargetTraits avx2 = TargetTraits::forCpu({"avx2", "fma"});
  EXPECT_EQ(avx2.lanes, 8);
  EXPECT_EQ(avx2.dotRows, 4);
  EXPECT_EQ(avx2.dotColumns, 16);
  EXPECT_FALSE(avx2.bf16Dot);
}

TEST(TargetTraits, ReadsTheModule) {
  MLIRContext context;
  Builder builder(&context);
  OwningOpRef<ModuleOp> module = ModuleOp::create(builder.getUnknownLoc());
  EXPECT_EQ(TargetTraits::get(*module).lanes, 16);
  (*module)->setAttr("primus.cpu_features", builder.getStrArrayAttr({"avx2", "fma"}));
  EXPECT_EQ(TargetTraits::get(*module).lanes, 8);
  (*module)->setAttr("primus.target", builder.getStringAttr("gfx942"));
  EXPECT_EQ(TargetTraits::get(*module).name, "gfx942");
}

} // namespace

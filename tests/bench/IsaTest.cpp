//===- IsaTest.cpp - What is read from assembly ---------------------------===//

#include "bench/IsaBounds.h"
#include "bench/IsaSimulation.h"

#include <gtest/gtest.h>

using namespace primus;
using namespace primus::bench;

namespace {

/// Two kernels: one whose inner loop multiplies beside a longer one that copies, and one that is straight.
const char *const kAssembly = R"(
	.text
first:                                  ; @first
; %bb.0:
	s_load_dwordx4 s[0:3], s[0:1], 0x0
.LBB0_1:                                ; =>This Loop Header: Depth=1
	v_mov_b32_e32 v9, 0
.LBB0_2:                                ; %inner
                                        ;   Parent Loop BB0_1 Depth=1
	buffer_load_dwordx4 v[0:3], v8, s[4:7], 0 offen
	ds_read_b128 v[4:7], v9 offset:16
	s_waitcnt vmcnt(0) lgkmcnt(0)
	v_mfma_f32_32x32x8_bf16 a[0:15], v[0:1], v[4:5], a[0:15]
	v_mfma_f32_32x32x8_bf16 a[0:15], v[2:3], v[6:7], a[0:15]
	s_add_i32 s8, s8, 1
	s_cmp_lg_u32 s8, s9
	s_cbranch_scc1 .LBB0_2
; %bb.3:                                ;   in Loop: Header=BB0_1 Depth=1
	s_cmp_lg_u32 s10, s9
	s_cbranch_scc1 .LBB0_1
.LBB0_4:
	ds_write_b64 v0, v[2:3]
	v_add_f32_e32 v1, v2, v3
	v_add_f32_e32 v1, v2, v3
	v_add_f32_e32 v1, v2, v3
	v_exp_f32_e32 v1, v1
	buffer_store_short v1, v8, s[4:7], 0 offen
	s_nop 0
	s_nop 0
	s_nop 0
	s_cbranch_execnz .LBB0_4
	s_cbranch_scc0 .LBB0_5
.LBB0_5:
	s_endpgm
.Lfunc_end0:
	.size	first, .Lfunc_end0-first
second:
.LBB1_1:
	v_add_f32_e32 v1, v2, v3
	v_rcp_f32_e32 v1, v1
	ds_read2_b64 v[4:7], v9 offset1:1
	global_load_ushort v2, v[4:5], off
	s_cbranch_vccnz .LBB1_1
	s_endpgm
.Lfunc_end1:
third:
	v_add_f32_e32 v1, v2, v3
	s_endpgm
.Lfunc_end2:
)";

codegen::hip::KernelResources getResources(int64_t registers, int64_t lanes) {
  codegen::hip::KernelResources resources;
  resources.vectorRegisters = registers;
  resources.workgroupSize = lanes;
  return resources;
}

} // namespace

TEST(Isa, TheMainLoopIsTheInnermostThatMultipliesMost) {
  std::optional<LoopBounds> bounds = readLoopBounds(kAssembly, "first", getResources(128, 256), "gfx942");
  ASSERT_TRUE(bounds);
  ASSERT_EQ(bounds->loop.size(), 8u);
  EXPECT_EQ(bounds->loop.front(), "buffer_load_dwordx4 v[0:3], v8, s[4:7], 0 offen");
  EXPECT_EQ(bounds->loop.back(), "s_cbranch_scc1 .LBB0_2");
  EXPECT_EQ(bounds->matrixInstructions, 2u);
  EXPECT_EQ(bounds->cycles[LoopBounds::Matrix], 64);
  // 16 bytes of 64 lanes on each of four SIMDs: 128 a cycle from LDS, 64 from the caches.
  EXPECT_EQ(bounds->cycles[LoopBounds::Lds], 32);
  EXPECT_EQ(bounds->cycles[LoopBounds::Global], 64);
  // Four waves of 128 registers issue in turns.
  EXPECT_EQ(bounds->occupancy, 4u);
  EXPECT_EQ(bounds->groupWaves, 1u);
  EXPECT_EQ(bounds->cycles[LoopBounds::Issue], 8);
  EXPECT_EQ(bounds->getMatrixShare(), 1);
}

TEST(Isa, WithoutMatrixInstructionsTheLongestLoopCounts) {
  std::optional<LoopBounds> bounds = readLoopBounds(kAssembly, "second", getResources(32, 512), "gfx950");
  ASSERT_TRUE(bounds);
  EXPECT_EQ(bounds->loop.size(), 5u);
  EXPECT_EQ(bounds->cycles[LoopBounds::Matrix], 0);
  EXPECT_EQ(bounds->cycles[LoopBounds::Vector], 4 + 8);
  EXPECT_EQ(bounds->cycles[LoopBounds::Lds], 32);
  EXPECT_EQ(bounds->cycles[LoopBounds::Global], 8);
  EXPECT_EQ(bounds->occupancy, 8u);
  EXPECT_EQ(bounds->groupWaves, 2u);
  EXPECT_EQ(bounds->getBound(), LoopBounds::Lds);
  EXPECT_EQ(simulateLoop(*bounds), 0);
}

TEST(Isa, WhatHasNoLoopHasNoBounds) {
  EXPECT_FALSE(readLoopBounds(kAssembly, "third", getResources(32, 64), "gfx942"));
  EXPECT_FALSE(readLoopBounds(kAssembly, "fourth", getResources(32, 64), "gfx942"));
  // A name's beginning is not the name.
  EXPECT_FALSE(readLoopBounds(kAssembly, "fir", getResources(32, 64), "gfx942"));
}

/// The share of the matrix unit's time of a loop of these lines.
static double simulate(std::initializer_list<const char *> lines, unsigned occupancy) {
  LoopBounds bounds;
  for (const char *line : lines) {
    bounds.matrixInstructions += llvm::StringRef(line).starts_with("v_mfma");
    bounds.loop.push_back(line);
  }
  bounds.occupancy = occupancy;
  return simulateLoop(bounds);
}

TEST(Isa, TheSimulationWaitsForWhatIsRead) {
  const char *load = "buffer_load_dwordx4 v[0:3], v8, s[4:7], 0 offen", *wait = "s_waitcnt vmcnt(0)";
  const char *first = "v_mfma_f32_32x32x8_bf16 a[0:15], v[0:1], v[4:5], a[0:15]";
  const char *second = "v_mfma_f32_32x32x8_bf16 a[16:31], v[0:1], v[4:5], a[16:31]";
  EXPECT_NEAR(simulate({first, second, "s_nop 0"}, 1), 1, 0.05);
  double alone = simulate({load, wait, first, second}, 1);
  EXPECT_LT(alone, 0.2);
  // Other waves multiply meanwhile.
  EXPECT_GT(simulate({load, wait, first, second}, 4), 3 * alone);
  // The load of the next iteration is on its way while this one's is used.
  EXPECT_GT(simulate({load, "s_waitcnt vmcnt(1)", first, second}, 1), 1.5 * alone);
}

TEST(Isa, OtherArithmeticRunsBesideMatrixInstructionsButPackedDoesNot) {
  const char *multiply = "v_mfma_f32_32x32x8_bf16 a[0:15], v[0:1], v[4:5], a[0:15]";
  const char *single = "v_mul_f32_e32 v9, v8, v8", *packed = "v_pk_mul_f32 v[8:9], v[6:7], v[6:7]";
  EXPECT_NEAR(simulate({multiply, single, single, single, single}, 1), 1, 0.01);
  EXPECT_NEAR(simulate({multiply, packed, packed, packed, packed}, 1), 32.0 / 48, 0.01);
}

TEST(Isa, ExponentialsTakeHalfAsLongOnGfx950) {
  auto getVector = [](const char *chip) {
    return readLoopBounds(kAssembly, "second", getResources(32, 512), chip)->cycles[LoopBounds::Vector];
  };
  EXPECT_EQ(getVector("gfx942"), 4 + 16);
  EXPECT_EQ(getVector("gfx950"), 4 + 8);
}

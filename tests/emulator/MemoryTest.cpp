//===- MemoryTest.cpp - Loads, stores, LDS, and the mistakes that must show -===//

#include "tests/emulator/TestCode.h"

#include <gtest/gtest.h>

using namespace llvm;
using namespace primus::emulator;

namespace {
struct Run {
  Chip chip = Chip::Gfx942;
  std::string body;
  unsigned ldsBytes = 0, waves = 1;
  uint64_t seed = 1;
};

/// Two buffers of 1 KiB: in holds 0, 1, 2...; out is not written yet. At the start of the body s[4:5] is in, s[6:7] is out,
/// v1 is four times the work item.
Expected<Statistics> run(const Run &test, Buffer &out) {
  std::vector<uint32_t> values(256);
  for (unsigned i = 0; i < values.size(); ++i)
    values[i] = i;
  Buffer in("in", ArrayRef<uint32_t>(values));
  std::string start = "s_load_dwordx4 s[4:7], s[0:1], 0x0\nv_lshlrev_b32_e32 v1, 2, v0\ns_waitcnt lgkmcnt(0)\n";
  LaunchOptions options;
  options.seed = test.seed;
  return launch(assembleKernel(test.chip, {start + test.body, 2, test.ldsBytes}), "k", {1}, {64 * test.waves},
                {KernelArgument::pointer(in, Access::Read), KernelArgument::pointer(out, Access::Write)}, options);
}
std::vector<uint32_t> getOutput(const Run &test) {
  Buffer out("out", 1024);
  auto statistics = run(test, out);
  if (!statistics)
    ADD_FAILURE() << toString(statistics.takeError());
  return out.read<uint32_t>();
}
std::string getErrorOf(const Run &test) {
  Buffer out("out", 1024);
  return getError(run(test, out));
}
void expectError(const Run &test, const std::string &text) {
  std::string error = getErrorOf(test);
  EXPECT_NE(error.find(text), std::string::npos) << error;
}
} // namespace

TEST(Memory, partsOfWords) {
  auto out = getOutput({.body = R"(
v_mov_b32 v2, -1
v_mov_b32 v3, -1
global_load_ubyte v4, v1, s[4:5]
global_load_short_d16_hi v2, v1, s[4:5]
global_load_sbyte_d16 v3, v1, s[4:5] offset:512
s_waitcnt vmcnt(0)
v_xor_b32 v4, v2, v4
global_store_dword v1, v4, s[6:7]
global_store_dword v1, v3, s[6:7] offset:256
global_store_dword v1, v3, s[6:7] offset:512
global_store_short_d16_hi v1, v2, s[6:7] offset:512
global_store_byte v1, v0, s[6:7] offset:514)"});
  for (uint32_t i = 0; i < 64; ++i) {
    EXPECT_EQ(out[i], ((i << 16) | 0xffff) ^ i);
    uint32_t low = uint16_t(int8_t(128 + i));
    EXPECT_EQ(out[64 + i], 0xffff0000 | low);
    EXPECT_EQ(out[128 + i], 0xff000000 | i << 16 | i);
  }
}

TEST(Memory, laterLoadsOverwriteEarlierOnes) {
  auto out = getOutput({.body = R"(
v_mov_b32 v3, 20
global_load_dword v2, v1, s[4:5]
global_load_dword v2, v3, s[4:5]
s_waitcnt vmcnt(0)
global_store_dword v1, v2, s[6:7])"});
  for (uint32_t i = 0; i < 64; ++i)
    EXPECT_EQ(out[i], 5u);
}

TEST(Memory, buffersReadZeroAndDropOutside) {
  auto out = getOutput({.body = R"(
s_mov_b32 s10, 128
s_mov_b32 s11, 0x00027000
s_mov_b32 s8, s4
s_and_b32 s9, s5, 0xffff
v_lshlrev_b32 v2, 1, v1
buffer_load_dwordx2 v[4:5], v2, s[8:11], 0 offen offset:4
s_mov_b32 s8, s6
s_and_b32 s9, s7, 0xffff
s_movk_i32 s10, 0x400
s_waitcnt vmcnt(0)
buffer_store_dword v4, v1, s[8:11], 0 offen
buffer_store_dword v5, v1, s[8:11], 0 offen offset:256
v_mov_b32 v3, 0x80000000
buffer_store_dword v5, v3, s[8:11], 0 offen offset:512
s_movk_i32 s10, 0x300
v_mov_b32 v6, 9
buffer_store_dword v6, v1, s[8:11], 0 offen offset:700)"});
  for (uint32_t i = 0; i < 64; ++i) {
    // Words 2 i + 1 and 2 i + 2, of 32.
    EXPECT_EQ(out[i], 2 * i + 1 < 32 ? 2 * i + 1 : 0);
    EXPECT_EQ(out[64 + i], 2 * i + 2 < 32 ? 2 * i + 2 : 0);
  }
  EXPECT_EQ(out[191], 9u);
  EXPECT_EQ(out[192], 0xffffffffu); // as it was
}

TEST(Memory, ldsOfEveryWidth) {
  auto out = getOutput({.body = R"(
v_lshlrev_b32 v2, 4, v0
v_mov_b32 v4, v0
v_add_u32 v5, 100, v0
v_add_u32 v6, 200, v0
v_add_u32 v7, 300, v0
ds_write_b128 v2, v[4:7]
ds_read2_b32 v[8:9], v2 offset0:1 offset1:3
ds_read_u16 v10, v2 offset:8
v_mov_b32 v11, 0
ds_read_u8_d16_hi v11, v2
v_sub_u32 v3, 63, v0
v_lshlrev_b32 v3, 2, v3
ds_bpermute_b32 v12, v3, v0
ds_swizzle_b32 v13, v0 offset:swizzle(SWAP,16)
s_waitcnt lgkmcnt(0)
v_add_u32 v8, v8, v9
global_store_dword v1, v8, s[6:7]
v_add_u32 v10, v10, v11
global_store_dword v1, v10, s[6:7] offset:256
global_store_dword v1, v12, s[6:7] offset:512
global_store_dword v1, v13, s[6:7] offset:768)",
                        .ldsBytes = 1024});
  for (uint32_t i = 0; i < 64; ++i) {
    EXPECT_EQ(out[i], 400 + 2 * i);
    EXPECT_EQ(out[64 + i], 200 + i + (i << 16));
    EXPECT_EQ(out[128 + i], 63 - i);
    EXPECT_EQ(out[192 + i], i ^ 16);
  }
}

TEST(Memory, flatPointersReachLds) {
  auto out = getOutput({.body = R"(
s_mov_b64 s[10:11], src_shared_base
v_mov_b32 v2, v1
v_mov_b32 v3, s11
ds_write_b32 v1, v0
s_waitcnt lgkmcnt(0)
flat_load_dword v4, v[2:3]
s_waitcnt vmcnt(0) lgkmcnt(0)
global_store_dword v1, v4, s[6:7])",
                        .ldsBytes = 256});
  for (uint32_t i = 0; i < 64; ++i)
    EXPECT_EQ(out[i], i);
}

TEST(Memory, loadsToLds) {
  const char *body = R"(
s_mov_b32 m0, 64
global_load_lds_dword v1, s[4:5]
s_waitcnt vmcnt(0)
ds_read_b32 v2, v1 offset:64
s_waitcnt lgkmcnt(0)
global_store_dword v1, v2, s[6:7])";
  auto out = getOutput({.body = body, .ldsBytes = 512});
  for (uint32_t i = 0; i < 64; ++i)
    EXPECT_EQ(out[i], i);
  std::string hasty(body);
  hasty.erase(hasty.find("s_waitcnt vmcnt(0)"), strlen("s_waitcnt vmcnt(0)"));
  expectError({.body = hasty, .ldsBytes = 512}, "reads LDS at 64 while a load to it is on its way");

  // Sixteen bytes a lane, on gfx950 only.
  auto wide = getOutput({.chip = Chip::Gfx950, .body = R"(
v_lshlrev_b32 v2, 4, v0
s_mov_b32 m0, 0
global_load_lds_dwordx4 v2, s[4:5]
s_waitcnt vmcnt(0)
ds_read_b32 v2, v1 offset:512
s_waitcnt lgkmcnt(0)
global_store_dword v1, v2, s[6:7])",
                         .ldsBytes = 1024});
  for (uint32_t i = 0; i < 64; ++i)
    EXPECT_EQ(wide[i], 128 + i);
}

TEST(Memory, atomicsReturnWhatWasThere) {
  std::vector<uint32_t> zeros(4, 0);
  Buffer counters("counters", ArrayRef<uint32_t>(zeros)), out("out", 256);
  auto statistics = launch(assembleKernel(Chip::Gfx942, {R"(
s_load_dwordx4 s[4:7], s[0:1], 0x0
v_lshlrev_b32_e32 v1, 2, v0
v_mov_b32 v2, 0
v_mov_b32 v3, 2
v_mov_b32 v4, 1.0
s_waitcnt lgkmcnt(0)
global_atomic_add v5, v2, v3, s[4:5] sc0
global_atomic_add_f32 v2, v4, s[4:5] offset:4
s_waitcnt vmcnt(0)
global_store_dword v1, v5, s[6:7])"}),
                           "k", {1}, {64}, {KernelArgument::pointer(counters, Access::ReadWrite), KernelArgument::pointer(out, Access::Write)});
  ASSERT_TRUE(bool(statistics)) << toString(statistics.takeError());
  EXPECT_EQ(counters.read<uint32_t>()[0], 128u);
  EXPECT_EQ(counters.read<float>()[1], 64.0f);
  for (uint32_t i = 0; i < 64; ++i)
    EXPECT_EQ(out.read<uint32_t>()[i], 2 * i);
}

TEST(Mistakes, outsideOfBuffers) {
  expectError({.body = "global_store_dword v1, v0, s[6:7] offset:1020"}, "writes 4 bytes outside every buffer");
  expectError({.body = "global_store_dword v1, v0, s[6:7] offset:1020"}, "1024 bytes after the start of 'out' of 1024 bytes");
  expectError({.body = "global_store_dword v1, v0, s[6:7] offset:1020"}, "'global_store_dword v1, v0, s[6:7] offset:1020'");
  expectError({.body = "global_load_dwordx4 v[2:5], v1, s[4:5] offset:770"}, "past the end of 'in'");
  expectError({.body = "global_store_dword v1, v0, s[4:5]"}, "writes 'in', which the launch declares read only");
  expectError({.body = "global_load_dword v2, v1, s[6:7]"}, "reads 'out', which the launch declares write only");
  expectError({.body = "ds_read_b32 v2, v1", .ldsBytes = 200}, "reads 4 bytes of LDS at 200, past its end at 200");
}

TEST(Mistakes, valuesThatNobodyWrote) {
  expectError({.body = "global_store_dword v1, v9, s[6:7]"}, "stores a value that was never written to 'out'");
  expectError({.body = "v_add_u32 v9, v9, v1\nglobal_store_dword v9, v0, s[6:7]"}, "the address depends on a value that was never written");
  expectError({.body = "s_cmp_lt_u32 s20, 5\ns_cbranch_scc1 0"}, "a branch depends on a value that was never written");
  expectError({.body = "v_cmp_gt_f32 vcc, v9, v0\ns_and_saveexec_b64 s[8:9], vcc"}, "the execution mask depends on a value");
  expectError({.body = "ds_read_b32 v2, v1\ns_waitcnt lgkmcnt(0)\nglobal_store_dword v1, v2, s[6:7]", .ldsBytes = 256},
              "stores a value that was never written");
  // Poisoned bits that do not matter are no mistake.
  auto out = getOutput({.body = R"(
global_load_short_d16 v9, v1, s[4:5]
s_waitcnt vmcnt(0)
v_and_b32 v2, 0xffff, v9
s_mov_b32 s8, 0x01000504
v_perm_b32 v3, v9, v0, s8
v_xor_b32 v2, v3, v2
v_lshlrev_b32 v9, 16, v9
v_or_b32 v2, v2, v9
global_store_dword v1, v2, s[6:7])"});
  for (uint32_t i = 0; i < 64; ++i)
    EXPECT_EQ(out[i], i << 16);
}

TEST(Mistakes, missingWaits) {
  expectError({.body = "ds_read_b32 v2, v1\nglobal_load_dword v2, v1, s[4:5]", .ldsBytes = 256},
              "uses vector register 2 while a load to it is on its way");
  expectError({.body = "global_load_dword v2, v1, s[4:5]\nglobal_store_dword v1, v2, s[6:7]"},
              "uses vector register 2 while a load to it is on its way");
  expectError({.body = "global_load_dword v2, v1, s[4:5]\nglobal_load_dword v3, v1, s[4:5]\ns_waitcnt vmcnt(1)\nv_add_u32 v4, v2, v3"},
              "uses vector register 3 while a load");
  expectError({.body = "s_load_dword s10, s[4:5], 0x0\ns_add_u32 s11, s10, 1"}, "uses scalar register 10 while a load");
  // With a scalar load on its way, a count says nothing about what has come from LDS.
  expectError({.body = "ds_write_b32 v1, v0\nds_read_b32 v2, v1\n"
                       "s_load_dword s10, s[4:5], 0x0\ns_waitcnt lgkmcnt(1)\nv_add_u32 v4, v2, v2", .ldsBytes = 256},
              "uses vector register 2 while a load");
}

namespace {
/// Four waves hand a word to their neighbour through LDS, twice.
std::string exchange(const char *first, const char *second, const char *wait = "s_waitcnt lgkmcnt(0)") {
  return std::string(R"(
v_xor_b32 v2, 0x100, v1
ds_write_b32 v1, v0
)") + wait + "\n" + first + R"(
ds_read_b32 v3, v2
s_waitcnt lgkmcnt(0)
)" + second + R"(
ds_write_b32 v1, v3
s_waitcnt lgkmcnt(0)
s_barrier
ds_read_b32 v4, v2
s_waitcnt lgkmcnt(0)
global_store_dword v1, v4, s[6:7])";
}
} // namespace

TEST(Barriers, wavesExchangeWords) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    auto out = getOutput({.body = exchange("s_barrier", "s_barrier"), .ldsBytes = 1024, .waves = 4, .seed = seed});
    for (uint32_t i = 0; i < 256; ++i)
      EXPECT_EQ(out[i], i);
  }
}

TEST(Barriers, aMissingOneIsFoundWithEverySeed) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {

    std::string readBeforeWrite = getErrorOf({.body = exchange("s_nop 0", "s_barrier"), .ldsBytes = 1024, .waves = 4, .seed = seed});
    std::string writeBeforeRead = getErrorOf({.body = exchange("s_barrier", "s_nop 0"), .ldsBytes = 1024, .waves = 4, .seed = seed});
    EXPECT_NE(readBeforeWrite.find("s_barrier is missing"), std::string::npos) << readBeforeWrite;
    EXPECT_NE(writeBeforeRead.find("s_barrier is missing"), std::string::npos) << writeBeforeRead;
  }
}

TEST(Barriers, accessesOnTheirWayCountAfterwardsToo) {
  std::string error = getErrorOf({.body = exchange("s_barrier", "s_barrier", "s_nop 0"), .ldsBytes = 1024, .waves = 4});
  EXPECT_NE(error.find("s_barrier is missing"), std::string::npos) << error;
}

TEST(Refusals, nameTheInstruction) {
  std::string error = getErrorOf({.body = "s_memtime s[8:9]"});
  EXPECT_NE(error.find("instruction at 0x"), std::string::npos) << error;
  EXPECT_NE(error.find("'s_memtime s[8:9]': the emulator does not know 's_memtime'"), std::string::npos) << error;
}

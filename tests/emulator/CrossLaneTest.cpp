//===- CrossLaneTest.cpp - DPP patterns, masks, and words between lanes ---===//

#include "tests/emulator/TestCode.h"

#include <gtest/gtest.h>

#include <functional>

using namespace primus::emulator;

namespace {
constexpr int kNone = -1;

struct Pattern {
  const char *name;
  std::function<int(int)> source; ///< the lane that a lane reads, or kNone
};

const Pattern patterns[] = {
    {"quad_perm:[3,1,0,2]", [](int lane) { return lane / 4 * 4 + std::array{3, 1, 0, 2}[lane % 4]; }},
    {"row_shl:3", [](int lane) { return lane % 16 < 13 ? lane + 3 : kNone; }},
    {"row_shr:5", [](int lane) { return lane % 16 >= 5 ? lane - 5 : kNone; }},
    {"row_ror:4", [](int lane) { return lane / 16 * 16 + (lane + 12) % 16; }},
    {"wave_shl:1", [](int lane) { return lane < 63 ? lane + 1 : kNone; }},
    {"wave_rol:1", [](int lane) { return (lane + 1) % 64; }},
    {"wave_shr:1", [](int lane) { return lane - 1; }},
    {"wave_ror:1", [](int lane) { return (lane + 63) % 64; }},
    {"row_mirror", [](int lane) { return lane ^ 15; }},
    {"row_half_mirror", [](int lane) { return lane ^ 7; }},
    {"row_bcast:15", [](int lane) { return lane < 16 ? kNone : lane / 16 * 16 - 1; }},
    {"row_bcast:31", [](int lane) { return lane < 32 ? kNone : 31; }},
    {"row_newbcast:6", [](int lane) { return lane / 16 * 16 + 6; }},
};
} // namespace

TEST(Dpp, everyPatternWithAndWithoutBoundControl) {
  std::vector<uint32_t> values(64);
  for (uint32_t i = 0; i < 64; ++i)
    values[i] = 1000 + i;
  for (const Pattern &pattern : patterns) {
    std::string dpp = std::string("v_mov_b32_dpp v40, v10 ") + pattern.name + " row_mask:0xf bank_mask:0xf";
    auto kept = runLanes(Chip::Gfx942, "v_mov_b32 v40, 7\ns_nop 1\n" + dpp, {values})[0];
    auto zeroed = runLanes(Chip::Gfx942, "v_mov_b32 v40, 7\ns_nop 1\n" + dpp + " bound_ctrl:0", {values})[0];
    for (int lane = 0; lane < 64; ++lane) {
      int source = pattern.source(lane);
      EXPECT_EQ(kept[lane], source == kNone ? 7u : values[source]) << pattern.name << " lane " << lane;
      EXPECT_EQ(zeroed[lane], source == kNone ? 0u : values[source]) << pattern.name << " lane " << lane;
    }
  }
}

TEST(Dpp, masksOfRowsAndBanks) {
  std::vector<uint32_t> values(64, 5);
  auto sums = runLanes(Chip::Gfx942, "v_mov_b32 v40, 100\ns_nop 1\n"
                                     "v_add_u32_dpp v40, v10, v10 quad_perm:[0,1,2,3] row_mask:0xa bank_mask:0x6", {values})[0];
  for (unsigned lane = 0; lane < 64; ++lane) {
    bool selected = (lane / 16 == 1 || lane / 16 == 3) && (lane / 4 % 4 == 1 || lane / 4 % 4 == 2);
    EXPECT_EQ(sums[lane], selected ? 10u : 100u) << lane;
  }
}

TEST(Dpp, inactiveLanesAreNoSource) {
  std::vector<uint32_t> values(64);
  for (uint32_t i = 0; i < 64; ++i)
    values[i] = i;
  // Odd lanes only are active.
  auto moved = runLanes(Chip::Gfx942, R"(
v_mov_b32 v40, -1
v_mov_b32 v41, -1
s_mov_b32 s10, 0xaaaaaaaa
s_mov_b32 s11, s10
s_mov_b64 s[12:13], exec
s_mov_b64 exec, s[10:11]
s_nop 1
v_mov_b32_dpp v40, v10 row_shr:1 row_mask:0xf bank_mask:0xf
v_mov_b32_dpp v41, v10 row_shr:1 row_mask:0xf bank_mask:0xf bound_ctrl:0
s_mov_b64 exec, s[12:13])", {values}, 2);
  for (unsigned lane = 0; lane < 64; ++lane) {
    EXPECT_EQ(moved[0][lane], ~0u);
    EXPECT_EQ(moved[1][lane], lane % 2 ? 0u : ~0u);
  }
}

TEST(CrossLane, singleLanesAndCounts) {
  std::vector<uint32_t> values(64);
  for (uint32_t i = 0; i < 64; ++i)
    values[i] = 3 * i;
  auto results = runLanes(Chip::Gfx942, R"(
v_readlane_b32 s10, v10, 9
v_mov_b32 v40, s10
s_mov_b32 s11, 77
v_writelane_b32 v40, s11, 5
v_mbcnt_lo_u32_b32 v41, -1, 0
v_mbcnt_hi_u32_b32 v41, -1, v41
s_mov_b64 s[12:13], exec
s_mov_b64 exec, 0xf00
v_readfirstlane_b32 s14, v10
s_mov_b64 exec, s[12:13]
v_mov_b32 v42, s14)", {values}, 3);
  for (uint32_t lane = 0; lane < 64; ++lane) {
    EXPECT_EQ(results[0][lane], lane == 5 ? 77u : 27u);
    EXPECT_EQ(results[1][lane], lane);
    EXPECT_EQ(results[2][lane], 24u);
  }
}

TEST(CrossLane, swapsOfGfx950) {
  std::vector<uint32_t> first(64), second(64);
  for (uint32_t i = 0; i < 64; ++i) {
    first[i] = i;
    second[i] = 100 + i;
  }
  auto results = runLanes(Chip::Gfx950, R"(
v_mov_b32 v40, v10
v_mov_b32 v41, v11
s_nop 1
v_permlane32_swap_b32 v40, v41
v_mov_b32 v42, v10
v_mov_b32 v43, v11
s_nop 1
v_permlane16_swap_b32 v42, v43)", {first, second}, 4);
  for (uint32_t lane = 0; lane < 64; ++lane) {
    EXPECT_EQ(results[0][lane], lane < 32 ? lane : 100 + lane - 32);
    EXPECT_EQ(results[1][lane], lane < 32 ? lane + 32 : 100 + lane);
    bool isOdd = lane / 16 % 2;
    EXPECT_EQ(results[2][lane], isOdd ? 100 + lane - 16 : lane);
    EXPECT_EQ(results[3][lane], isOdd ? 100 + lane : lane + 16);
  }
}

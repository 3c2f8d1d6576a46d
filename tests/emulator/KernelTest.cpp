//===- KernelTest.cpp - Compiled kernels with barriers, and defects in them -===//

#include "tests/emulator/TestCode.h"

#include <gtest/gtest.h>

using namespace llvm;
using namespace primus::emulator;

namespace {
/// Each workgroup of 256 sums 256 floats by halving in LDS, and every work item stores the sum.
std::string getSum() {
  return R"(
@sums = internal addrspace(3) global [256 x float] poison, align 16

define amdgpu_kernel void @sum(ptr addrspace(1) noalias %in, ptr addrspace(1) noalias %out) #0 {
entry:
  %lane = call i32 @llvm.amdgcn.workitem.id.x()
  %group = call i32 @llvm.amdgcn.workgroup.id.x()
  %first = shl i32 %group, 8
  %i = add i32 %first, %lane
  %from = getelementptr float, ptr addrspace(1) %in, i32 %i
  %x = load float, ptr addrspace(1) %from
  %mine = getelementptr float, ptr addrspace(3) @sums, i32 %lane
  store float %x, ptr addrspace(3) %mine
  br label %loop
loop:
  %half = phi i32 [ 128, %entry ], [ %next, %continue ]
  fence syncscope("workgroup") release
  call void @llvm.amdgcn.s.barrier() ; before the reads
  fence syncscope("workgroup") acquire
  %active = icmp ult i32 %lane, %half
  br i1 %active, label %add, label %continue
add:
  %other = add i32 %lane, %half
  %theirs = getelementptr float, ptr addrspace(3) @sums, i32 %other
  %a = load float, ptr addrspace(3) %mine
  %b = load float, ptr addrspace(3) %theirs
  %s = fadd float %a, %b
  store float %s, ptr addrspace(3) %mine
  br label %continue
continue:
  %next = lshr i32 %half, 1
  %more = icmp ne i32 %next, 0
  br i1 %more, label %loop, label %done
done:
  fence syncscope("workgroup") release
  call void @llvm.amdgcn.s.barrier() ; before the result
  fence syncscope("workgroup") acquire
  %total = load float, ptr addrspace(3) @sums
  %to = getelementptr float, ptr addrspace(1) %out, i32 %i
  store float %total, ptr addrspace(1) %to
  ret void
}
attributes #0 = { "amdgpu-flat-work-group-size"="256,256" "uniform-work-group-size"="true" }
)";
}

std::string replaceOnce(std::string text, StringRef from, StringRef to) {
  size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from.str();
  return text.replace(at, from.size(), to);
}

Expected<Statistics> runSum(Chip chip, const std::string &ir, Buffer &out, uint64_t seed = 1) {
  std::vector<float> values(512);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = float(i);
  Buffer in("in", ArrayRef<float>(values));
  LaunchOptions options;
  options.seed = seed;
  return launch(compile(chip, ir), "sum", {2}, {256}, {KernelArgument::pointer(in, Access::Read), KernelArgument::pointer(out, Access::Write)},
                options);
}
std::string getErrorOfSum(const std::string &ir, uint64_t seed = 1) {
  Buffer out("out", 2048);
  return getError(runSum(Chip::Gfx942, ir, out, seed));
}

class Kernel : public testing::TestWithParam<Chip> {};
} // namespace

TEST_P(Kernel, sumsInLds) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    Buffer out("out", 2048);
    auto statistics = runSum(GetParam(), getSum(), out, seed);
    ASSERT_TRUE(bool(statistics)) << toString(statistics.takeError());
    EXPECT_EQ(statistics->waves, 8u);
    EXPECT_EQ(statistics->barriers, 2u * 9);
    ASSERT_FALSE(out.findPoison());
    auto sums = out.read<float>();
    for (size_t i = 0; i < sums.size(); ++i)
      EXPECT_EQ(sums[i], i < 256 ? 32640.0f : 98176.0f);
  }
}
INSTANTIATE_TEST_SUITE_P(Chips, Kernel, testing::Values(Chip::Gfx942, Chip::Gfx950),
                         [](const auto &info) { return getChipName(info.param).str(); });

TEST(KernelDefects, aDroppedBarrier) {
  for (StringRef barrier : {"call void @llvm.amdgcn.s.barrier() ; before the reads", "call void @llvm.amdgcn.s.barrier() ; before the result"})
    for (uint64_t seed = 1; seed <= 5; ++seed) {
      std::string error = getErrorOfSum(replaceOnce(getSum(), barrier, ""), seed);
      EXPECT_NE(error.find("s_barrier is missing"), std::string::npos) << error;
    }
}

TEST(KernelDefects, anIndexThatIsOffByOne) {
  std::string error = getErrorOfSum(replaceOnce(getSum(), "%i = add i32 %first, %lane", "%i0 = add i32 %first, %lane\n%i = add i32 %i0, 1"));
  EXPECT_NE(error.find("reads 4 bytes outside every buffer"), std::string::npos) << error;
  EXPECT_NE(error.find("'in' of 2048 bytes"), std::string::npos) << error;
  EXPECT_NE(error.find("global_load_dword"), std::string::npos) << error;
}

TEST(KernelDefects, ldsThatIsReadBeforeItIsWritten) {
  std::string error = getErrorOfSum(replaceOnce(getSum(), "store float %x, ptr addrspace(3) %mine", "%unused = fadd float %x, %x"));
  EXPECT_NE(error.find("a value that was never written"), std::string::npos) << error;
}

TEST(KernelDefects, aStoreThatIsMasked) {
  // The last work item stores nothing: its word stays poisoned.
  std::string ir = replaceOnce(getSum(), "store float %total, ptr addrspace(1) %to\n  ret void",
                               "%skip = icmp eq i32 %i, 511\n  br i1 %skip, label %end, label %write\nwrite:\n"
                               "  store float %total, ptr addrspace(1) %to\n  br label %end\nend:\n  ret void");
  Buffer out("out", 2048);
  auto statistics = runSum(Chip::Gfx942, ir, out);
  ASSERT_TRUE(bool(statistics)) << toString(statistics.takeError());
  EXPECT_EQ(out.findPoison(), std::optional<size_t>(2044));
}

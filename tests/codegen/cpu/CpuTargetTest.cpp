//===- CpuTargetTest.cpp - Lists of processor features --------------------===//

#include "codegen/cpu/CpuTarget.h"

#include <gtest/gtest.h>

using namespace primus::codegen;

static std::vector<std::string> parse(llvm::StringRef list) {
  llvm::Expected<CpuTarget> target = CpuTarget::parse(list);
  if (!target)
    return {"error: " + llvm::toString(target.takeError())};
  return target->features;
}

TEST(CpuTarget, CompletesFeatures) {
  std::vector<std::string> base = {"avx2", "bmi2", "f16c", "fma"};
  std::vector<std::string> avx512 = {"avx2", "avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl", "bmi2", "f16c", "fma"};
  std::vector<std::string> bf16 = avx512;
  bf16.insert(bf16.begin() + 1, "avx512bf16");
  EXPECT_EQ(parse("avx2"), base);
  EXPECT_EQ(parse("+avx2, +fma"), base);
  EXPECT_EQ(parse("avx512f"), avx512);
  EXPECT_EQ(parse("avx512bf16"), bf16);
  EXPECT_EQ(parse("avx512bf16,-avx512bf16"), avx512);
  // AVX-512 is used as a whole or not at all.
  EXPECT_EQ(parse("avx512bf16,-avx512dq"), base);
  EXPECT_EQ(parse("native"), llvm::cantFail(CpuTarget::host()).features);
}

TEST(CpuTarget, SaysWhatItNeeds) {
  CpuTarget old = llvm::cantFail(CpuTarget::parse("avx2")), recent = llvm::cantFail(CpuTarget::parse("avx512f"));
  EXPECT_EQ(old.lanes(), 8);
  EXPECT_EQ(recent.lanes(), 16);
  EXPECT_EQ(old.featureString(), "+avx2,+bmi2,+f16c,+fma");
  EXPECT_FALSE(old.has("avx512f"));
}

TEST(CpuTarget, NamesWhatIsWrong) {
  EXPECT_EQ(parse("avx2,avx1024"), std::vector<std::string>{"error: unknown CPU feature 'avx1024'; known are native, avx2, bmi2, f16c, "
                                                            "fma, avx512bw, avx512cd, avx512dq, avx512f, avx512vl and avx512bf16"});
  EXPECT_EQ(parse(" "), std::vector<std::string>{"error: unknown CPU feature ''; known are native, avx2, bmi2, f16c, fma, avx512bw, "
                                                 "avx512cd, avx512dq, avx512f, avx512vl and avx512bf16"});
  EXPECT_EQ(parse(""), std::vector<std::string>{
                           "error: the list of CPU features is empty; give 'native' or names such as 'avx2' or 'avx512f,avx512bf16'"});
  EXPECT_EQ(parse("-fma"), std::vector<std::string>{"error: a CPU target needs the feature 'fma' (AVX2 generation, 2013 or later)"});
}

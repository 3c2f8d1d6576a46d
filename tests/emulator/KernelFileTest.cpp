//===- KernelFileTest.cpp - Launches described by JSON --------------------===//

#include "tests/emulator/KernelFile.h"
#include "tests/emulator/TestCode.h"

#include <gtest/gtest.h>

using namespace llvm;
using namespace primus::emulator;

namespace {
const char *const description = R"({
  "name": "add", "symbol": "add", "grid": [2], "block": [64, 1, 1], "lds_bytes": 0, "defined_by": "f",
  "arguments": [
    {"kind": "pointer", "offset": 0, "dtype": "f32", "shape": [2, 64], "strides": [64, 1], "access": "r"},
    {"kind": "pointer", "offset": 8, "dtype": "f32", "shape": [128], "strides": [1], "access": "w"},
    {"kind": "f32", "offset": 16}]
})";

/// out[i] = in[i] + value.
const std::string &getCode() {
  static const std::string code = compileToFile(Chip::Gfx942, R"(
define amdgpu_kernel void @add(ptr addrspace(1) %in, ptr addrspace(1) %out, float %value) #0 {
  %lane = call i32 @llvm.amdgcn.workitem.id.x()
  %group = call i32 @llvm.amdgcn.workgroup.id.x()
  %first = mul i32 %group, 64
  %i = add i32 %first, %lane
  %from = getelementptr float, ptr addrspace(1) %in, i32 %i
  %x = load float, ptr addrspace(1) %from
  %sum = fadd float %x, %value
  %to = getelementptr float, ptr addrspace(1) %out, i32 %i
  store float %sum, ptr addrspace(1) %to
  ret void
}
attributes #0 = { "amdgpu-flat-work-group-size"="64,64" "uniform-work-group-size"="true" }
)");
  return code;
}
std::string withChange(StringRef from, StringRef to) {
  std::string text = description;
  text.replace(text.find(from), from.size(), to);
  return text;
}
void expectParseError(const std::string &json, StringRef message) {
  auto file = KernelFile::parse(json, getCode());
  ASSERT_FALSE(bool(file));
  std::string error = toString(file.takeError());
  EXPECT_NE(error.find(message), std::string::npos) << error;
}
} // namespace

TEST(KernelFile, runsAlone) {
  auto file = KernelFile::parse(description, getCode());
  ASSERT_TRUE(bool(file)) << toString(file.takeError());
  EXPECT_EQ(file->definedBy, "f");
  std::vector<float> values(128);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = i;
  Buffer in("in", ArrayRef<float>(values)), out("out", file->arguments[1].getBytes());
  auto statistics = file->run({KernelArgument::pointer(in, Access::Read), KernelArgument::pointer(out, Access::Write), KernelArgument::value(0.5f)});
  ASSERT_TRUE(bool(statistics)) << toString(statistics.takeError());
  EXPECT_EQ(statistics->waves, 2u);
  EXPECT_FALSE(out.findPoison());
  for (size_t i = 0; i < values.size(); ++i)
    EXPECT_EQ(out.read<float>()[i], values[i] + 0.5f);
  Buffer small("small", 4);
  EXPECT_EQ(getError(file->run({KernelArgument::pointer(in, Access::Read), KernelArgument::pointer(small, Access::Write),
                                KernelArgument::value(0.5f)})),
            "add: argument 1 takes 512 bytes, but the buffer has 4");
}

TEST(KernelFile, aLaunchTooSmallLeavesPoison) {
  auto file = KernelFile::parse(withChange("\"grid\": [2]", "\"grid\": [1]"), getCode());
  ASSERT_TRUE(bool(file)) << toString(file.takeError());
  Buffer in("in", ArrayRef<float>(std::vector<float>(128))), out("out", 512);
  auto statistics = file->run({KernelArgument::pointer(in, Access::Read), KernelArgument::pointer(out, Access::Write), KernelArgument::value(0.5f)});
  ASSERT_TRUE(bool(statistics)) << toString(statistics.takeError());
  EXPECT_EQ(out.findPoison(), std::optional<size_t>(256));
}

TEST(KernelFile, mistakesInDescriptions) {
  expectParseError(withChange("\"symbol\": \"add\"", "\"symbol\": \"sub\""), "the code object has no kernel 'sub'");
  expectParseError(withChange("\"lds_bytes\": 0", "\"lds_bytes\": 16"), "'lds_bytes' is 16, but the kernel has 0");
  expectParseError(withChange("\"offset\": 16", "\"offset\": 20"), "argument 2 is described at byte 20, but lies at 16");
  expectParseError(withChange("\"access\": \"w\"", "\"access\": \"x\""), "argument 1: 'access' must be r, w or rw");
  expectParseError(withChange("\"grid\": [2]", "\"grid\": 2"), "'grid' must be one to three sizes");
}

//===- ExecutableFileTest.cpp - Reading and writing .primus files ---------===//

#include "runtime/executable/CpuFeatures.h"
#include "runtime/executable/ExecutableFile.h"
#include "tests/runtime/TinyExecutable.h"

#include <filesystem>
#include <gtest/gtest.h>
#include <sys/stat.h>

using namespace primus;
using namespace primus::runtime;
using namespace primus::test;

TEST(ExecutableFile, RoundTrip) {
  TemporaryFolder folder;
  executable::Executable executable = makeBigramExecutable();
  ASSERT_FALSE(saveExecutable(executable, folder / "a.primus"));
  Expected<executable::Executable> loaded = loadExecutable(folder / "a.primus");
  ASSERT_TRUE(loaded) << loaded.takeError().getMessage();
  EXPECT_EQ(serializeExecutable(*loaded), readFile(folder / "a.primus"));
  // No temporary file is left.
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.str()), {}), 1);
}

TEST(ExecutableFile, EqualExecutablesAreEqualBytes) {
  // A map with several entries, inserted in two orders.
  executable::Executable a = makeBigramExecutable(), b = a;
  std::vector<std::string> names = {"std", "mean", "scale", "value", "a", "b", "c"};
  for (size_t i = 0; i < names.size(); ++i) {
    (*a.mutable_variables(0)->mutable_initializer()->mutable_parameters())[names[i]] = 1;
    (*b.mutable_variables(0)->mutable_initializer()->mutable_parameters())[names[names.size() - 1 - i]] = 1;
  }
  EXPECT_EQ(serializeExecutable(a), serializeExecutable(b));
}

TEST(ExecutableFile, EveryTruncationIsRefused) {
  std::string bytes = serializeExecutable(makeBigramExecutable());
  for (size_t size : {size_t(0), size_t(1), size_t(100), bytes.size() / 2, bytes.size() - 1}) {
    Expected<executable::Executable> parsed = parseExecutable(std::string_view(bytes).substr(0, size), "a.primus");
    ASSERT_FALSE(parsed) << size;
    Error error = parsed.takeError();
    EXPECT_EQ(error.getExitCode(), 3);
    EXPECT_NE(error.getMessage().find("a.primus"), std::string::npos);
  }
}

TEST(ExecutableFile, EveryChangedBitIsRefused) {
  std::string bytes = serializeExecutable(makeBigramExecutable());
  for (size_t i = 0; i < bytes.size(); i += 1 + bytes.size() / 2000) {
    std::string damaged = bytes;
    damaged[i] ^= static_cast<char>(1 << i % 8);
    Expected<executable::Executable> parsed = parseExecutable(damaged, "a.primus");
    ASSERT_FALSE(parsed) << i;
    EXPECT_EQ(parsed.takeError().getExitCode(), 3);
  }
}

TEST(ExecutableFile, AnotherVersionIsNamed) {
  executable::Executable executable = makeBigramExecutable();
  executable.set_format_version(99);
  Expected<executable::Executable> parsed = parseExecutable(executable.SerializeAsString(), "a.primus");
  ASSERT_FALSE(parsed);
  EXPECT_NE(parsed.takeError().getMessage().find("'a.primus': format version 99, but this program reads version"),
            std::string::npos);
}

TEST(ExecutableFile, FailuresNameThePath) {
  TemporaryFolder folder;
  Error error = saveExecutable(makeBigramExecutable(), folder / "no/such/folder/a.primus");
  ASSERT_TRUE(error);
  EXPECT_NE(error.getMessage().find("no/such/folder/a.primus"), std::string::npos);
  Expected<executable::Executable> missing = loadExecutable(folder / "missing.primus");
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.takeError().getMessage().find("missing.primus"), std::string::npos);
  Expected<executable::Executable> notAFile = loadExecutable(folder.str());
  EXPECT_FALSE(notAFile);
}

TEST(CpuFeatures, AgreeWithTheCompiler) {
#if defined(__x86_64__)
  // What this test was compiled to be able to ask.
  EXPECT_EQ(hasCpuFeature("avx2"), __builtin_cpu_supports("avx2") != 0);
  EXPECT_EQ(hasCpuFeature("fma"), __builtin_cpu_supports("fma") != 0);
  EXPECT_EQ(hasCpuFeature("avx512f"), __builtin_cpu_supports("avx512f") != 0);
  EXPECT_EQ(hasCpuFeature("avx512vnni"), __builtin_cpu_supports("avx512vnni") != 0);
  EXPECT_EQ(hasCpuFeature("avx512bf16"), __builtin_cpu_supports("avx512bf16") != 0);
  EXPECT_EQ(hasCpuFeature("bmi2"), __builtin_cpu_supports("bmi2") != 0);
  EXPECT_EQ(hasCpuFeature("sse4a"), __builtin_cpu_supports("sse4a") != 0);
  EXPECT_EQ(hasCpuFeature("sse2"), true);
#endif
  EXPECT_EQ(hasCpuFeature("flux-capacitor"), std::nullopt);
}

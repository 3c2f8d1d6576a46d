//===- KernelFilesTest.cpp - Every dumped kernel runs alone ---------------===//
//
// What a dump says of a kernel is enough to launch it: kernels/NAME.json and NAME.hsaco, nothing else.
//
//===----------------------------------------------------------------------===//

#include "frontend/cli/Compilation.h"
#include "tests/emulator/KernelFile.h"

#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/FileSystem.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <random>

using namespace primus;
using namespace primus::emulator;

/// Numbers that mean something in every type: small floats, and zeros as integers.
static void fill(Buffer &buffer, const std::string &dtype, std::mt19937 &random) {
  std::fill(buffer.poison.begin(), buffer.poison.end(), 0);
  std::fill(buffer.data.begin(), buffer.data.end(), 0);
  std::uniform_real_distribution<float> uniform(0.1f, 1);
  bool isWide = dtype == "f32";
  if (!isWide && dtype != "bf16")
    return;
  for (size_t i = 0; i + (isWide ? 4 : 2) <= buffer.data.size(); i += isWide ? 4 : 2) {
    float value = uniform(random);
    // A bf16 is the upper half of an f32.
    std::memcpy(buffer.data.data() + i, reinterpret_cast<char *>(&value) + (isWide ? 0 : 2), isWide ? 4 : 2);
  }
}

class KernelFiles : public testing::TestWithParam<const char *> {};

TEST_P(KernelFiles, RunAlone) {
  llvm::SmallString<128> folder;
  ASSERT_FALSE(llvm::sys::fs::createUniqueDirectory("primus-kernels", folder));
  llvm::scope_exit remove([&] { (void)llvm::sys::fs::remove_directories(folder); });
  cli::CompileOptions options;
  options.target = options.config.target = GetParam();
  options.config.experiment = PRIMUS_SOURCE_DIR "/configs/experiments/cpu/llama-tiny.yaml";
  options.config.overrides = {"num_layers=1", "hidden_size=64", "ffn_hidden_size=96", "num_attention_heads=4", "num_query_groups=2",
                              "kv_channels=16", "seq_length=40", "max_position_embeddings=40", "micro_batch_size=1", "global_batch_size=1"};
  options.dump = folder.str().str();
  ASSERT_EQ(cli::Compilation(options).run(), cli::kDone);
  std::mt19937 random(3);
  int count = 0;
  for (const auto &entry : std::filesystem::directory_iterator(options.dump + "/kernels")) {
    if (entry.path().extension() != ".json")
      continue;
    SCOPED_TRACE(entry.path().filename());
    auto file = KernelFile::load(entry.path().string());
    ASSERT_TRUE(bool(file)) << llvm::toString(file.takeError());
    EXPECT_FALSE(file->definedBy.empty());
    std::vector<std::unique_ptr<Buffer>> buffers;
    std::vector<KernelArgument> arguments;
    for (const ArgumentDescription &argument : file->arguments) {
      buffers.push_back(std::make_unique<Buffer>(argument.dtype, argument.getBytes()));
      if (argument.access != Access::Write)
        fill(*buffers.back(), argument.dtype, random);
      arguments.push_back(KernelArgument::pointer(*buffers.back(), argument.access));
    }
    auto statistics = file->run(arguments);
    ASSERT_TRUE(bool(statistics)) << llvm::toString(statistics.takeError());
    for (auto [description, buffer] : llvm::zip_equal(file->arguments, buffers))
      EXPECT_FALSE(buffer->findPoison()) << "an argument of access " << int(description.access) << " is not written";
    ++count;
  }
  EXPECT_GT(count, 20);
}

INSTANTIATE_TEST_SUITE_P(All, KernelFiles, testing::Values("gfx942", "gfx950"),
                         [](const auto &info) { return std::string(info.param); });

//===- LoadStoreTest.cpp - Tiles from and to memory -----------------------===//

#include "tests/codegen/cpu/RunKernel.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace primus;
using namespace primus::test;

namespace {

struct Access {
  int64_t memoryRows, memoryColumns;
  /// The tile, and the position of its first element.
  int64_t tileRows, tileColumns, row, column;
  /// The tile's rows run along memory's columns.
  bool transposed = false;
  const char *type = "f32";
  /// The position comes from a buffer, so that nothing is known of it.
  bool dynamic = false;
};

std::ostream &operator<<(std::ostream &stream, const Access &a) {
  return stream << a.tileRows << "x" << a.tileColumns << " at " << a.row << "," << a.column << " of " << a.memoryRows << "x"
                << a.memoryColumns << " " << a.type << (a.transposed ? " transposed" : "") << (a.dynamic ? " dynamic" : "");
}

class LoadStoreTest : public testing::TestWithParam<Access> {};

int64_t bytesOf(StringRef type) { return type == "i1" || type == "i8" ? 1 : type == "bf16" ? 2 : type == "i64" || type == "f64" ? 8 : 4; }

std::string makeKernel(const Access &a) {
  std::string position = a.dynamic ? R"(
      %c1 = arith.constant 1 : index
      %r = kernel.load %p[%c0] dims [] : memref<2xindex> -> index
      %s = kernel.load %p[%c1] dims [] : memref<2xindex> -> index)"
                                   : llvm::formatv(R"(
      %r = arith.constant {0} : index
      %s = arith.constant {1} : index)",
                                                   a.row, a.column)
                                         .str();
  StringRef type = a.type;
  std::string memory = llvm::formatv("memref<{0}x{1}x{2}>", a.memoryRows, a.memoryColumns, type);
  std::string tile = llvm::formatv("tensor<{0}x{1}x{2}>", a.tileRows, a.tileColumns, type);
  std::string whole = llvm::formatv("memref<{0}x{1}x{2}>", a.tileRows, a.tileColumns, type);
  return llvm::formatv(R"(
    kernel.func @k(%m: {1}, %p: memref<2xindex>, %t: {2}, %n: {1}) grid [1] {{
      %c0 = arith.constant 0 : index{0}
      %x = kernel.load %m[%r, %s] dims [{3}] pad 1.0 : {1} -> {4}
      kernel.store %x, %t[%c0, %c0] dims [0, 1] : {4}, {2}
      kernel.store %x, %n[%r, %s] dims [{3}] : {4}, {1}
      kernel.return
    })",
                       position, memory, whole, a.transposed ? "1, 0" : "0, 1", tile);
}

} // namespace

TEST_P(LoadStoreTest, MovesWhatLiesInside) {
  const Access &a = GetParam();
  int64_t bytes = bytesOf(a.type), size = a.memoryRows * a.memoryColumns * bytes;
  std::vector<uint8_t> memory(size), pad(bytes);
  for (int64_t i = 0; i < size; ++i)
    memory[i] = StringRef(a.type) == "i1" ? i * 7 % 3 == 0 : (i * 37 + 11) % 120 + 1;
  if (StringRef(a.type) == "f32")
    *reinterpret_cast<float *>(pad.data()) = 1;
  else if (StringRef(a.type) == "f64")
    *reinterpret_cast<double *>(pad.data()) = 1;
  else if (StringRef(a.type) == "bf16")
    *reinterpret_cast<uint16_t *>(pad.data()) = 0x3f80;
  else
    pad[0] = 1;
  int64_t position[2] = {a.row, a.column};

  for (const codegen::CpuTarget &target : allTargets()) {
    std::vector<uint8_t> tile(a.tileRows * a.tileColumns * bytes + 64, 0xee), copy(size + 64, 0xee);
    runKernel(makeKernel(a), {memory.data(), position, tile.data(), copy.data()}, target);
    std::vector<uint8_t> expectedCopy(size + 64, 0xee);
    for (int64_t i = 0; i < a.tileRows; ++i)
      for (int64_t j = 0; j < a.tileColumns; ++j) {
        int64_t row = a.row + (a.transposed ? j : i), column = a.column + (a.transposed ? i : j);
        bool inside = row >= 0 && row < a.memoryRows && column >= 0 && column < a.memoryColumns;
        int64_t at = (row * a.memoryColumns + column) * bytes;
        const uint8_t *expected = inside ? &memory[at] : pad.data();
        ASSERT_EQ(std::memcmp(&tile[(i * a.tileColumns + j) * bytes], expected, bytes), 0) << i << ", " << j << " " << target.featureString();
        if (inside)
          std::copy_n(&memory[at], bytes, &expectedCopy[at]);
      }
    EXPECT_EQ(copy, expectedCopy) << target.featureString();
    EXPECT_TRUE(std::all_of(tile.end() - 64, tile.end(), [](uint8_t byte) { return byte == 0xee; }));
  }
}

/// One element of a tile that is narrowed on its way to memory lies inside.
TEST(LoadStore, WritesOneNarrowElement) {
  for (const codegen::CpuTarget &target : allTargets()) {
    std::vector<float> input(97, 1.5f);
    std::vector<uint16_t> output(97 + 32, 0xeeee);
    runKernel(R"(kernel.func @k(%x: memref<97xf32>, %y: memref<97xbf16>) grid [1] {
      %c96 = arith.constant 96 : index
      %a = kernel.load %x[%c96] dims [0] : memref<97xf32> -> tensor<16xf32>
      %b = arith.truncf %a : tensor<16xf32> to tensor<16xbf16>
      kernel.store %b, %y[%c96] dims [0] : tensor<16xbf16>, memref<97xbf16>
      kernel.return
    })",
              {input.data(), output.data()}, target);
    std::vector<uint16_t> expected(97 + 32, 0xeeee);
    expected[96] = 0x3fc0;
    EXPECT_EQ(output, expected) << target.featureString();
  }
}

INSTANTIATE_TEST_SUITE_P(Inside, LoadStoreTest,
                         testing::Values(Access{16, 64, 8, 32, 8, 32}, Access{13, 97, 4, 24, 3, 5}, Access{13, 97, 1, 97, 12, 0},
                                         Access{13, 97, 13, 1, 0, 96}, Access{5, 3, 5, 3, 0, 0}, Access{40, 8, 40, 1, 0, 7},
                                         Access{3, 8, 1, 1, 2, 7}));
INSTANTIATE_TEST_SUITE_P(Outside, LoadStoreTest,
                         testing::Values(Access{13, 97, 8, 32, 8, 96}, Access{13, 97, 8, 32, 12, 64}, Access{13, 97, 8, 32, 16, 0},
                                         Access{13, 97, 8, 32, 0, 200}, Access{13, 97, 8, 32, -3, -5}, Access{13, 97, 8, 32, -8, 0},
                                         Access{13, 97, 20, 1, 0, 5}, Access{13, 97, 20, 1, -2, 5}, Access{5, 3, 8, 16, 0, 0},
                                         Access{13, 97, 8, 32, 8, 96, false, "f32", true},
                                         Access{13, 97, 8, 32, -3, -5, false, "f32", true},
                                         Access{13, 97, 20, 1, -2, 5, false, "f32", true}));
INSTANTIATE_TEST_SUITE_P(Transposed, LoadStoreTest,
                         testing::Values(Access{64, 16, 8, 32, 32, 8, true}, Access{97, 13, 8, 32, 90, 9, true},
                                         Access{97, 13, 8, 32, -4, -2, true}, Access{24, 5, 5, 24, 0, 0, true},
                                         Access{97, 40, 40, 3, 1, 0, true}, Access{97, 13, 1, 32, 70, 5, true},
                                         Access{97, 13, 13, 1, 70, 0, true}, Access{97, 13, 8, 32, 90, 9, true, "f32", true},
                                         Access{97, 13, 8, 32, 90, 9, true, "bf16"}, Access{97, 13, 1, 32, 70, 5, true, "bf16"},
                                         Access{97, 13, 1, 32, 70, 5, true, "i1"}, Access{40, 40, 32, 32, 3, 3, true}));
INSTANTIATE_TEST_SUITE_P(Types, LoadStoreTest,
                         testing::Values(Access{13, 97, 8, 24, 8, 80, false, "bf16"}, Access{13, 97, 8, 24, 8, 80, false, "i1"},
                                         Access{13, 97, 8, 24, 8, 80, false, "i8"}, Access{13, 97, 8, 24, 8, 80, false, "i32"},
                                         Access{13, 97, 8, 24, 8, 80, false, "i64"}, Access{13, 97, 8, 24, 8, 80, false, "f64"},
                                         Access{13, 97, 8, 24, -3, -3, false, "bf16", true}));

//===- TileKernelTest.cpp - Tile programs on GPUs and on the CPU ----------===//
//
// The same programs, with one wave and with several, give the same bytes on the emulator of both chips as on this machine's processor. Numbers
// are small and whole, so that sums are exact in any order.
//
//===----------------------------------------------------------------------===//

#include "tests/codegen/hip/RunTiles.h"

#include <random>

using namespace mlir;
using namespace primus;
using namespace primus::test;

namespace {

struct Argument {
  /// Of an element, and their number.
  std::string type;
  int64_t count;
  bool isOutput;

  int64_t elementBytes() const { return type == "i1" || type == "i8" ? 1 : type == "i64" ? 8 : type == "bf16" || type == "f16" || type == "i16" ? 2 : 4; }
};

/// Whole numbers from -8 to 8 in memory; truth values.
std::vector<uint8_t> getBytes(const Argument &argument, std::mt19937 &random) {
  std::vector<uint8_t> bytes(argument.count * argument.elementBytes());
  auto put = [&](auto make) {
    auto *data = reinterpret_cast<decltype(make(0)) *>(bytes.data());
    for (int64_t i = 0; i < argument.count; ++i)
      data[i] = make(int(random() % 17) - 8);
  };
  if (argument.type == "f32")
    put([](int n) { return float(n); });
  else if (argument.type == "bf16")
    put([](int n) { return floatToBf16(float(n)); });
  else if (argument.type == "f16")
    put([](int n) {
      llvm::APFloat value(float(n) + 0.0f);
      bool lost;
      value.convert(llvm::APFloat::IEEEhalf(), llvm::APFloat::rmNearestTiesToEven, &lost);
      return uint16_t(value.bitcastToAPInt().getZExtValue());
    });
  else if (argument.type == "i64")
    put([](int n) { return int64_t(n); });
  else if (argument.type == "i32")
    put([](int n) { return int32_t(n); });
  else if (argument.type == "i1")
    put([](int n) { return uint8_t(n & 1); });
  else
    put([](int n) { return int8_t(n); });
  return bytes;
}

/// Runs @k of `source`, in which WAVES stands for the attribute, everywhere.
void checkEverywhere(const std::string &source, const std::vector<Argument> &arguments) {
  SCOPED_TRACE(source);
  std::mt19937 random(1);
  std::vector<std::vector<uint8_t>> inputs;
  for (const Argument &argument : arguments)
    inputs.push_back(getBytes(argument, random));
  auto with = [&](const std::string &waves) {
    std::string text = source;
    text.replace(text.find("WAVES"), 5, waves);
    return text;
  };

  std::vector<std::vector<uint8_t>> expected = inputs;
  std::vector<void *> pointers;
  for (auto &bytes : expected)
    pointers.push_back(bytes.data());
  runKernel(with(""), pointers, hostTarget());
  if (testing::Test::HasFatalFailure())
    return;

  for (auto [chip, waves] : {std::pair("gfx942", ""), {"gfx942", "waves [4, 1]"}, {"gfx950", "waves [2, 2]"}, {"gfx950", "waves [1, 8]"}}) {
      SCOPED_TRACE(std::string(chip) + " " + waves);
      std::vector<emulator::Buffer> buffers;
      for (size_t i = 0; i < arguments.size(); ++i)
        buffers.push_back(emulator::Buffer("argument " + std::to_string(i), ArrayRef<uint8_t>(inputs[i])));
      std::vector<emulator::Buffer *> given;
      for (emulator::Buffer &buffer : buffers)
        given.push_back(&buffer);
      runTiles(with(waves), chip, {{"k", given}});
      for (size_t i = 0; i < arguments.size(); ++i)
        if (arguments[i].isOutput)
          EXPECT_EQ(buffers[i].read<uint8_t>(), expected[i]) << "argument " << i;
      if (testing::Test::HasFailure())
        return;
    }
}

const std::pair<int, int> kTiles[] = {{1, 1}, {5, 7}, {3, 100}, {16, 1}, {1, 33}, {128, 32}};

std::string tile(int rows, int columns, const std::string &type) { return llvm::formatv("tensor<{0}x{1}x{2}>", rows, columns, type); }

} // namespace

/// Statistics of rows and columns, spread over the tile again; both edges are masked.
TEST(TileKernelTest, ReductionsAndBroadcasts) {
  for (std::string type : {"f32", "i32"})
    for (auto [rows, columns] : kTiles) {
      int m = std::max(1, rows - rows / 4), n = std::max(1, columns - columns / 3);
      std::string t = tile(rows, columns, type), r = tile(rows, 1, type), c = tile(1, columns, type), add = type == "f32" ? "addf" : "addi";
      checkEverywhere(llvm::formatv(R"(
        kernel.func @k(%x: memref<{0}x{1}x{2}>, %y: memref<{0}x{1}x{2}>, %u: memref<{0}x1x{2}>, %v: memref<1x{1}x{2}>) grid [1] WAVES {{
          %c0 = arith.constant 0 : index
          %t = kernel.load %x[%c0, %c0] dims [0, 1] : memref<{0}x{1}x{2}> -> {3}
          %s = kernel.reduce sum %t dim 1 : {3} -> {4}
          %m = kernel.reduce max %t dim 0 : {3} -> {5}
          %a = kernel.broadcast %s : {4} -> {3}
          %b = kernel.broadcast %m : {5} -> {3}
          %d = arith.{6} %a, %b : {3}
          %e = arith.{6} %d, %t : {3}
          kernel.store %e, %y[%c0, %c0] dims [0, 1] : {3}, memref<{0}x{1}x{2}>
          kernel.store %s, %u[%c0, %c0] dims [0, 1] : {4}, memref<{0}x1x{2}>
          kernel.store %m, %v[%c0, %c0] dims [0, 1] : {5}, memref<1x{1}x{2}>
          kernel.return
        })",
                                    m, n, type, t, r, c, add),
                      {{type, m * n, false}, {type, m * n, true}, {type, m, true}, {type, n, true}});
    }
}

/// Turned in registers, and turned by the order of a load's dimensions.
TEST(TileKernelTest, Transposes) {
  for (std::string type : {"f32", "bf16", "i64", "i1"})
    for (auto [rows, columns] : {std::pair(64, 64), {5, 7}, {33, 20}})
      checkEverywhere(llvm::formatv(R"(
        kernel.func @k(%x: memref<{0}x{1}x{2}>, %y: memref<{1}x{0}x{2}>, %z: memref<{1}x{0}x{2}>) grid [1] WAVES {{
          %c0 = arith.constant 0 : index
          %t = kernel.load %x[%c0, %c0] dims [0, 1] : memref<{0}x{1}x{2}> -> {3}
          %u = kernel.transpose %t : {3} -> {4}
          kernel.store %u, %y[%c0, %c0] dims [0, 1] : {4}, memref<{1}x{0}x{2}>
          %v = kernel.load %x[%c0, %c0] dims [1, 0] : memref<{0}x{1}x{2}> -> {4}
          kernel.store %v, %z[%c0, %c0] dims [0, 1] : {4}, memref<{1}x{0}x{2}>
          kernel.return
        })",
                                    rows, columns, type, tile(rows, columns, type), tile(columns, rows, type)),
                      {{type, rows * columns, false}, {type, rows * columns, true}, {type, rows * columns, true}});
}

/// A line of elements with masked ends before and behind the buffer, its sum, and a mask of its own.
TEST(TileKernelTest, LinesAndEdges) {
  for (std::string type : {"f32", "i32", "i64"})
    for (int size : {1, 3, 64, 100, 700, 2048}) {
      bool real = type == "f32";
      std::string zero = real ? "0.0" : "0", add = real ? "arith.addf" : "arith.addi", compare = real ? "arith.cmpf ogt," : "arith.cmpi sgt,";
      checkEverywhere(llvm::formatv(R"(
        kernel.func @k(%x: memref<{0}x{1}>, %y: memref<{0}x{1}>, %s: memref<3x{1}>, %p: memref<{0}xi1>) grid [3] WAVES {{
          %i = kernel.program_id 0
          %size = arith.constant {2} : index
          %before = arith.constant {3} : index
          %first = arith.muli %i, %size : index
          %at = arith.subi %first, %before : index
          %t = kernel.load %x[%at] dims [0] pad 3.0 : memref<{0}x{1}> -> tensor<{2}x{1}>
          %sum = kernel.reduce sum %t dim 0 : tensor<{2}x{1}> -> {1}
          %most = kernel.reduce max %t dim 0 : tensor<{2}x{1}> -> {1}
          %both = {4} %sum, %most : {1}
          kernel.store %both, %s[%i] dims [] : {1}, memref<3x{1}>
          %n = kernel.iota %at dim 0 : tensor<{2}xi32>
          %c1 = arith.constant dense<1> : tensor<{2}xi32>
          %odd = arith.andi %n, %c1 : tensor<{2}xi32>
          %isOdd = arith.cmpi eq, %odd, %c1 : tensor<{2}xi32>
          %z = arith.constant dense<{5}> : tensor<{2}x{1}>
          %q = arith.select %isOdd, %t, %z : tensor<{2}xi1>, tensor<{2}x{1}>
          kernel.store %q, %y[%at] dims [0] : tensor<{2}x{1}>, memref<{0}x{1}>
          %positive = {6} %t, %z : tensor<{2}x{1}>
          kernel.store %positive, %p[%at] dims [0] : tensor<{2}xi1>, memref<{0}xi1>
          kernel.return
        })",
                                    2 * size + 1, type, size, size / 3, add, zero, compare),
                      {{type, 2 * size + 1, false}, {type, 2 * size + 1, true}, {type, 3, true}, {"i1", 2 * size + 1, true}});
    }
}

/// Tiles, scalars and indices that loops and branches hand on.
TEST(TileKernelTest, LoopsAndBranches) {
  checkEverywhere(R"(
    kernel.func @k(%x: memref<20x96xf32>, %y: memref<4x96xf32>, %z: memref<4xi32>) grid [4] WAVES {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c5 = arith.constant 5 : index
      %i = kernel.program_id 0
      %start = arith.constant dense<0.0> : tensor<96xf32>
      %none = arith.constant 0.0 : f32
      %from = arith.muli %i, %c5 : index
      %sum, %count, %next = scf.for %j = %c0 to %c5 step %c1 iter_args(%a = %start, %n = %none, %row = %from) -> (tensor<96xf32>, f32, index) {
        %t = kernel.load %x[%row, %c0] dims [1] : memref<20x96xf32> -> tensor<96xf32>
        %s = kernel.reduce sum %t dim 0 : tensor<96xf32> -> f32
        %isPositive = arith.cmpf ogt, %s, %none : f32
        %b, %m = scf.if %isPositive -> (tensor<96xf32>, f32) {
          %u = arith.addf %a, %t : tensor<96xf32>
          %one = arith.constant 1.0 : f32
          %v = arith.addf %n, %one : f32
          scf.yield %u, %v : tensor<96xf32>, f32
        } else {
          scf.yield %a, %n : tensor<96xf32>, f32
        }
        %following = arith.addi %row, %c1 : index
        scf.yield %b, %m, %following : tensor<96xf32>, f32, index
      }
      kernel.store %sum, %y[%i, %c0] dims [1] : tensor<96xf32>, memref<4x96xf32>
      %number = arith.fptosi %count : f32 to i32
      %position = arith.index_cast %next : index to i32
      %both = arith.addi %number, %position : i32
      kernel.store %both, %z[%i] dims [] : i32, memref<4xi32>
      kernel.return
    })",
                  {{"f32", 20 * 96, false}, {"f32", 4 * 96, true}, {"i32", 4, true}});
}

/// Changes of the element type, there and back.
TEST(TileKernelTest, Conversions) {
  checkEverywhere(R"(
    kernel.func @k(%x: memref<300xf32>, %n: memref<300xi32>, %a: memref<300xbf16>, %b: memref<300xf16>, %c: memref<300xf32>, %d: memref<300xi64>) grid [1] WAVES {
      %c0 = arith.constant 0 : index
      %t = kernel.load %x[%c0] dims [0] : memref<300xf32> -> tensor<300xf32>
      %i = kernel.load %n[%c0] dims [0] : memref<300xi32> -> tensor<300xi32>
      %third = arith.constant dense<0.33333334> : tensor<300xf32>
      %u = arith.mulf %t, %third : tensor<300xf32>
      %bf = arith.truncf %u : tensor<300xf32> to tensor<300xbf16>
      kernel.store %bf, %a[%c0] dims [0] : tensor<300xbf16>, memref<300xbf16>
      %h = arith.truncf %u : tensor<300xf32> to tensor<300xf16>
      kernel.store %h, %b[%c0] dims [0] : tensor<300xf16>, memref<300xf16>
      %wide = arith.extf %bf : tensor<300xbf16> to tensor<300xf32>
      %half = arith.extf %h : tensor<300xf16> to tensor<300xf32>
      %whole = arith.sitofp %i : tensor<300xi32> to tensor<300xf32>
      %s = arith.addf %wide, %whole : tensor<300xf32>
      %v = arith.divf %half, %whole : tensor<300xf32>
      %zero = arith.constant dense<0> : tensor<300xi32>
      %isZero = arith.cmpi eq, %i, %zero : tensor<300xi32>
      %w = arith.select %isZero, %s, %v : tensor<300xi1>, tensor<300xf32>
      kernel.store %w, %c[%c0] dims [0] : tensor<300xf32>, memref<300xf32>
      %l = arith.fptosi %t : tensor<300xf32> to tensor<300xi32>
      %e = arith.extsi %l : tensor<300xi32> to tensor<300xi64>
      kernel.store %e, %d[%c0] dims [0] : tensor<300xi64>, memref<300xi64>
      kernel.return
    })",
                  {{"f32", 300, false}, {"i32", 300, false}, {"bf16", 300, true}, {"f16", 300, true}, {"f32", 300, true}, {"i64", 300, true}});
}

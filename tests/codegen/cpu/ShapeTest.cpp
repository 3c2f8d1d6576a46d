//===- ShapeTest.cpp - Reductions, changes of shape, loops and branches ---===//

#include "tests/codegen/cpu/RunKernel.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace primus;
using namespace primus::test;

namespace {

using Shape = std::pair<int64_t, int64_t>;

class ShapeTest : public testing::TestWithParam<Shape> {
protected:
  int64_t rows() const { return GetParam().first; }
  int64_t columns() const { return GetParam().second; }
  /// Small whole numbers, so that every order of summation gives the same.
  std::vector<float> makeTile() const {
    std::vector<float> tile(rows() * columns());
    for (size_t i = 0; i < tile.size(); ++i)
      tile[i] = float(i * 7919 % 1009) - 500;
    return tile;
  }
  std::string type(int64_t r, int64_t c, const char *element = "f32") const { return llvm::formatv("{0}x{1}x{2}", r, c, element); }
  /// A kernel that computes %r, of shape [r, c], from %x.
  std::string makeKernel(int64_t r, int64_t c, StringRef body, const char *element = "f32") const {
    return llvm::formatv(R"(
      kernel.func @k(%a: memref<{0}>, %b: memref<{1}>) grid [1] {{
        %c0 = arith.constant 0 : index
        %x = kernel.load %a[%c0, %c0] dims [0, 1] : memref<{0}> -> tensor<{0}>
        {2}
        kernel.store %r, %b[%c0, %c0] dims [0, 1] : tensor<{1}>, memref<{1}>
        kernel.return
      })",
                         type(rows(), columns()), type(r, c, element), body);
  }
};

} // namespace

TEST_P(ShapeTest, Reduces) {
  std::vector<float> tile = makeTile();
  for (bool isMax : {false, true}) {
    for (int dim : {0, 1}) {
      int64_t r = dim == 0 ? 1 : rows(), c = dim == 1 ? 1 : columns();
      std::vector<float> expected(r * c, isMax ? -INFINITY : 0);
      for (int64_t i = 0; i < rows(); ++i)
        for (int64_t j = 0; j < columns(); ++j) {
          float &sum = expected[dim == 0 ? j : i], x = tile[i * columns() + j];
          sum = isMax ? std::max(sum, x) : sum + x;
        }
      std::string body = llvm::formatv("%r = kernel.reduce {0} %x dim {1} : tensor<{2}> -> tensor<{3}>", isMax ? "max" : "sum", dim,
                                       type(rows(), columns()), type(r, c));
      for (const codegen::CpuTarget &target : allTargets()) {
        std::vector<float> result(r * c);
        runKernel(makeKernel(r, c, body), {tile.data(), result.data()}, target);
        EXPECT_EQ(result, expected) << body << " " << target.featureString();
      }
    }
  }
}

TEST_P(ShapeTest, RowStatisticsCombineWithTiles) {
  // x - max over the row + sum over the column: a column and a row, broadcast.
  std::vector<float> tile = makeTile(), expected = tile;
  for (int64_t i = 0; i < rows(); ++i)
    for (int64_t j = 0; j < columns(); ++j) {
      float max = -INFINITY, sum = 0;
      for (int64_t l = 0; l < columns(); ++l)
        max = std::max(max, tile[i * columns() + l]);
      for (int64_t l = 0; l < rows(); ++l)
        sum += tile[l * columns() + j];
      expected[i * columns() + j] += sum - max;
    }
  std::string whole = type(rows(), columns()), column = type(rows(), 1), row = type(1, columns());
  std::string body = llvm::formatv(R"(
        %m = kernel.reduce max %x dim 1 : tensor<{0}> -> tensor<{1}>
        %s = kernel.reduce sum %x dim 0 : tensor<{0}> -> tensor<{2}>
        %mb = kernel.broadcast %m : tensor<{1}> -> tensor<{0}>
        %sb = kernel.broadcast %s : tensor<{2}> -> tensor<{0}>
        %d = arith.subf %sb, %mb : tensor<{0}>
        %r = arith.addf %x, %d : tensor<{0}>)",
                                   whole, column, row);
  for (const codegen::CpuTarget &target : allTargets()) {
    std::vector<float> result(tile.size());
    runKernel(makeKernel(rows(), columns(), body), {tile.data(), result.data()}, target);
    EXPECT_EQ(result, expected) << target.featureString();
  }
}

TEST_P(ShapeTest, Transposes) {
  std::vector<float> tile = makeTile();
  std::string body = llvm::formatv("%r = kernel.transpose %x : tensor<{0}> -> tensor<{1}>", type(rows(), columns()), type(columns(), rows()));
  for (const codegen::CpuTarget &target : allTargets()) {
    std::vector<float> result(tile.size());
    runKernel(makeKernel(columns(), rows(), body), {tile.data(), result.data()}, target);
    for (int64_t i = 0; i < rows(); ++i)
      for (int64_t j = 0; j < columns(); ++j)
        ASSERT_EQ(result[j * rows() + i], tile[i * columns() + j]) << i << ", " << j << " " << target.featureString();
  }
}

TEST_P(ShapeTest, CountsElements) {
  std::vector<float> tile = makeTile();
  for (int dim : {0, 1}) {
    std::string body = llvm::formatv("%c5 = arith.constant 5 : index\n%r = kernel.iota %c5 dim {0} : tensor<{1}>", dim,
                                     type(rows(), columns(), "i32"));
    for (const codegen::CpuTarget &target : allTargets()) {
      std::vector<int32_t> result(tile.size());
      runKernel(makeKernel(rows(), columns(), body, "i32"), {tile.data(), result.data()}, target);
      for (int64_t i = 0; i < rows(); ++i)
        for (int64_t j = 0; j < columns(); ++j)
          ASSERT_EQ(result[i * columns() + j], 5 + (dim == 0 ? i : j)) << target.featureString();
    }
  }
}

TEST_P(ShapeTest, LoopsCarryTiles) {
  // A tile, a column and a scalar through a loop whose bounds are the tile's own business.
  std::vector<float> tile = makeTile(), expected(tile.size());
  for (int64_t i = 0; i < rows(); ++i)
    for (int64_t j = 0; j < columns(); ++j)
      expected[i * columns() + j] = 5 * tile[i * columns() + j] + 10 * tile[i * columns()] + (0 + 3 + 6 + 9 + 12);
  std::string whole = type(rows(), columns()), column = type(rows(), 1);
  std::string body = llvm::formatv(R"(
        %zero = arith.constant dense<0.0> : tensor<{0}>
        %zeros = arith.constant dense<0.0> : tensor<{1}>
        %none = arith.constant 0.0 : f32
        %c3 = arith.constant 3 : index
        %c14 = arith.constant 14 : index
        %head = kernel.load %a[%c0, %c0] dims [0, 1] : memref<{0}> -> tensor<{1}>
        %s, %t, %u = scf.for %i = %c0 to %c14 step %c3 iter_args(%p = %zero, %q = %zeros, %o = %none) -> (tensor<{0}>, tensor<{1}>, f32) {{
          %pn = arith.addf %p, %x : tensor<{0}>
          %h2 = arith.addf %head, %head : tensor<{1}>
          %qn = arith.addf %q, %h2 : tensor<{1}>
          %n = arith.index_cast %i : index to i32
          %f = arith.sitofp %n : i32 to f32
          %on = arith.addf %o, %f : f32
          scf.yield %pn, %qn, %on : tensor<{0}>, tensor<{1}>, f32
        }
        %tb = kernel.broadcast %t : tensor<{1}> -> tensor<{0}>
        %ub = kernel.broadcast %u : f32 -> tensor<{0}>
        %y = arith.addf %s, %tb : tensor<{0}>
        %r = arith.addf %y, %ub : tensor<{0}>)",
                                   whole, column);
  for (const codegen::CpuTarget &target : allTargets()) {
    std::vector<float> result(tile.size());
    runKernel(makeKernel(rows(), columns(), body), {tile.data(), result.data()}, target);
    EXPECT_EQ(result, expected) << target.featureString();
  }
}

INSTANTIATE_TEST_SUITE_P(All, ShapeTest,
                         testing::Values(Shape{8, 32}, Shape{1, 64}, Shape{5, 24}, Shape{8, 97}, Shape{16, 4}, Shape{20, 3},
                                         Shape{3, 1}, Shape{40, 1}, Shape{1, 1}, Shape{33, 17}));

TEST(Structure, ReducesAVectorToAScalar) {
  std::vector<float> x(131);
  for (int i = 0; i < 131; ++i)
    x[i] = i - 20;
  for (const codegen::CpuTarget &target : allTargets()) {
    float result[2] = {};
    runKernel(R"(kernel.func @k(%a: memref<131xf32>, %b: memref<2xf32>) grid [1] {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %x = kernel.load %a[%c0] dims [0] : memref<131xf32> -> tensor<131xf32>
      %s = kernel.reduce sum %x dim 0 : tensor<131xf32> -> f32
      %m = kernel.reduce max %x dim 0 : tensor<131xf32> -> f32
      kernel.store %s, %b[%c0] dims [] : f32, memref<2xf32>
      kernel.store %m, %b[%c1] dims [] : f32, memref<2xf32>
      kernel.return
    })",
              {x.data(), result}, target);
    EXPECT_EQ(result[0], 131 * 130 / 2 - 131 * 20);
    EXPECT_EQ(result[1], 110);
  }
}

TEST(Structure, GridAndBranches) {
  // Each instance writes its own indices; every third in the last dimension something else, by a branch that yields a tile.
  StringRef source = R"(kernel.func @k(%b: memref<2x3x5x4xi32>) grid [2, 3, 5] {
      %c0 = arith.constant 0 : index
      %c3 = arith.constant 3 : index
      %p = kernel.program_id 0
      %q = kernel.program_id 1
      %r = kernel.program_id 2
      %c100 = arith.constant 100 : index
      %c10 = arith.constant 10 : index
      %ph = arith.muli %p, %c100 : index
      %qt = arith.muli %q, %c10 : index
      %pq = arith.addi %ph, %qt : index
      %n = arith.addi %pq, %r : index
      %m = arith.remui %r, %c3 : index
      %is = arith.cmpi eq, %m, %c0 : index
      %t = scf.if %is -> tensor<4xi32> {
        %i = kernel.iota %n dim 0 : tensor<4xi32>
        scf.yield %i : tensor<4xi32>
      } else {
        %s = arith.index_cast %n : index to i32
        %i = kernel.broadcast %s : i32 -> tensor<4xi32>
        scf.yield %i : tensor<4xi32>
      }
      scf.if %is {
        kernel.store %t, %b[%p, %q, %r, %c0] dims [3] : tensor<4xi32>, memref<2x3x5x4xi32>
      } else {
        kernel.store %t, %b[%p, %q, %r, %c0] dims [3] : tensor<4xi32>, memref<2x3x5x4xi32>
      }
      kernel.return
    })";
  for (const codegen::CpuTarget &target : allTargets()) {
    int32_t result[2][3][5][4] = {};
    runKernel(source, {result}, target);
    for (int p = 0; p < 2; ++p)
      for (int q = 0; q < 3; ++q)
        for (int r = 0; r < 5; ++r)
          for (int i = 0; i < 4; ++i)
            ASSERT_EQ(result[p][q][r][i], 100 * p + 10 * q + r + (r % 3 == 0 ? i : 0));
  }
}

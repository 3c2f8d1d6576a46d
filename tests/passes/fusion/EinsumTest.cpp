//===- EinsumTest.cpp - Products in normal form ----------------------------===//

#include "passes/fusion/Einsum.h"
#include "passes/kernels/MatmulProblem.h"
#include "tests/ir/interpreter/Run.h"

#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

#include <map>
#include <random>

using namespace mlir;
using namespace primus;
using namespace primus::testing;

namespace {

class EinsumTest : public IrTest {
protected:
  /// Brings a product of random operands into normal form and compares; returns the number of transposes.
  unsigned normalise(const std::string &spec, const std::map<char, int64_t> &sizes) {
    size_t comma = spec.find(','), arrow = spec.find("->");
    std::string letters[] = {spec.substr(0, comma), spec.substr(comma + 1, arrow - comma - 1), spec.substr(arrow + 2)};
    std::string types[3];
    SmallVector<int64_t> shapes[3];
    for (int i = 0; i < 3; ++i) {
      types[i] = "tensor<";
      for (char letter : letters[i]) {
        shapes[i].push_back(sizes.at(letter));
        types[i] += std::to_string(sizes.at(letter)) + "x";
      }
      types[i] += "f32>";
    }
    std::string text = "func.func @f(%a: " + types[0] + ", %b: " + types[1] + ") -> " + types[2] + " {\n%0 = graph.matmul \"" + spec +
                       "\" %a, %b : (" + types[0] + ", " + types[1] + ") -> " + types[2] + "\nreturn %0 : " + types[2] + "\n}";
    SmallVector<interpreter::Tensor> inputs = {random(shapes[0], 1), random(shapes[1], 2)};
    auto expected = run(text, inputs);
    auto module = parse(text);
    if (!module || expected.empty())
      return 0;
    RewritePatternSet patterns(&context);
    fusion::populateEinsumPatterns(patterns);
    EXPECT_TRUE(succeeded(applyPatternsGreedily(*module, std::move(patterns))));
    auto actual = interpreter::Interpreter(*module).run("f", inputs);
    EXPECT_TRUE(succeeded(actual)) << messages << text;
    if (succeeded(actual))
      EXPECT_LT(relativeError((*actual)[0].values, expected[0].values), 1e-12) << text;
    unsigned transposes = 0;
    module->walk([&](graph::TransposeOp) { ++transposes; });
    module->walk([&](graph::MatmulOp op) { EXPECT_TRUE(kernels::MatmulProblem::match(op)) << op.getSpec().str(); });
    return transposes;
  }
};

/// Projections, attention's products and gradients of weights are read as they lie.
TEST_F(EinsumTest, UsualProductsNeedNoTranspose) {
  std::map<char, int64_t> sizes = {{'b', 2}, {'s', 3}, {'i', 4}, {'o', 5}};
  EXPECT_EQ(normalise("bsi,oi->bso", sizes), 0u);
  EXPECT_EQ(normalise("bso,oi->bsi", sizes), 0u);
  EXPECT_EQ(normalise("bso,bsi->oi", sizes), 0u);
  EXPECT_EQ(normalise("bsi,bio->bso", sizes), 0u);
  // Columns before rows: the operands change places.
  EXPECT_EQ(normalise("si,oi->os", sizes), 0u);
}

/// Letters in random orders, by role, some of size one; there may be none of a role.
TEST_F(EinsumTest, RandomProductsComputeTheSame) {
  unsigned transposed = 0;
  for (unsigned seed = 0; seed < 100; ++seed) {
    std::mt19937 random(seed);
    std::map<char, int64_t> sizes;
    std::string left, right, result;
    for (char letter = 'a'; letter < 'g'; ++letter) {
      // Both operands and the result have a letter.
      unsigned role = letter == 'a' ? 2 + random() % 2 : letter == 'b' ? random() % 2 : random() % 4;
      sizes[letter] = 1 + random() % 3;
      if (role != 1)
        left += letter;
      if (role != 0)
        right += letter;
      if (role != 2)
        result += letter;
    }
    for (std::string *letters : {&left, &right, &result})
      std::shuffle(letters->begin(), letters->end(), random);
    SCOPED_TRACE(left + "," + right + "->" + result);
    transposed += normalise(left + "," + right + "->" + result, sizes) > 0;
  }
  EXPECT_GT(transposed, 30u);
}

} // namespace

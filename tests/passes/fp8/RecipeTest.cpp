//===- RecipeTest.cpp - Scales and quantised values, bit for bit ----------===//
//
// What each recipe makes of the operands of a linear layer's three products, in the interpreter, against what
// tests/goldens/fp8.py computed with PyTorch.
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"
#include "passes/fp8/Recipe.h"
#include "tests/ir/interpreter/Run.h"

#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/StringExtras.h"

#include <nlohmann/json.hpp>

#include <fstream>

using namespace mlir;
using namespace primus;
using namespace primus::testing;
using interpreter::Tensor;

namespace {

/// FNV-1a.
class Hash {
public:
  void add(uint8_t byte) { value = (value ^ byte) * 0x100000001B3; }
  std::string str() const { return llvm::utohexstr(value, /*LowerCase=*/true, /*Width=*/16); }

private:
  uint64_t value = 0xCBF29CE484222325;
};

/// The bits of a tensor's elements, little-endian.
std::string hashOf(const Tensor &tensor) {
  auto type = cast<FloatType>(tensor.elementType);
  Hash hash;
  for (double element : tensor.values) {
    APFloat narrow(element);
    bool losesInfo;
    narrow.convert(type.getFloatSemantics(), APFloat::rmNearestTiesToEven, &losesInfo);
    EXPECT_FALSE(losesInfo);
    uint64_t bits = narrow.bitcastToAPInt().getZExtValue();
    for (unsigned byte = 0; byte < type.getWidth() / 8; ++byte)
      hash.add(bits >> 8 * byte);
  }
  return hash.str();
}

class Fp8Recipe : public IrTest {
protected:
  /// The numbers that fp8.py draws.
  Tensor draw(uint64_t state, ArrayRef<int64_t> shape) {
    Tensor tensor(RankedTensorType::get(shape, BFloat16Type::get(&context)));
    for (double &value : tensor.values) {
      state = state * 6364136223846793005 + 1442695040888963407;
      uint64_t r = state >> 48, bits = (r & 0x807F) | (112 + (r >> 7 & 15)) << 7;
      value = APFloat(APFloat::BFloat(), APInt(16, bits)).convertToDouble();
    }
    return tensor;
  }

  /// Quantises the operands of one product and compares them with the golden.
  void check(const std::string &recipe, const nlohmann::json &golden, const std::string &role, const std::string &spec,
             std::array<std::string, 2> operands) {
    const std::map<std::string, std::pair<std::string, Tensor>> all = {
        {"x", {"2x64x256", draw(1, {2, 64, 256})}}, {"w", {"128x256", draw(2, {128, 256})}}, {"dy", {"2x64x128", draw(3, {2, 64, 128})}}};
    auto [name, family] = StringRef(recipe).split(' ');
    auto type = [&](int i) { return "tensor<" + all.at(operands[i]).first + "xbf16>"; };
    std::string result = role == "forward" ? "2x64x128" : role == "dgrad" ? "2x64x256" : "128x256";
    auto module = parse("func.func @f(%a: " + type(0) + " {graph.arg = \"activation\"}, %b: " + type(1) +
                        " {graph.arg = \"parameter\"}) -> tensor<" + result +
                        "xf32> attributes {graph.layer = {layer = \"l\", part = \"forward\"}} {\n  %y = graph.matmul \"" + spec +
                        "\" %a, %b {fp8 = #graph.fp8<recipe = " + name.str() + ", format = hybrid, encoding = " + family.str() +
                        ", role = " + role + ">} : (" + type(0) + ", " + type(1) + ") -> tensor<" + result +
                        "xf32>\n  return %y : tensor<" + result + "xf32>\n}");
    ASSERT_TRUE(module);
    PassManager passes(&context);
    passes.addPass(createQuantizeMatmuls());
    ASSERT_TRUE(succeeded(passes.run(*module))) << messages;

    // The function returns the quantised operands and their factors.
    auto function = *module->getOps<func::FuncOp>().begin();
    auto products = llvm::to_vector(function.getOps<graph::ScaledMatmulOp>());
    ASSERT_EQ(products.size(), 1u);
    SmallVector<Value> values(products.front().getOperands());
    Operation *terminator = function.getBody().front().getTerminator();
    terminator->setOperands(values);
    function.setFunctionType(FunctionType::get(&context, function.getArgumentTypes(), TypeRange(ValueRange(values))));
    function.setAllResultAttrs(SmallVector<Attribute>(4, DictionaryAttr::get(&context)));
    auto results = interpreter::Interpreter(*module, interpreter::Mode::Faithful)
                       .run("f", {all.at(operands[0]).second, all.at(operands[1]).second});
    ASSERT_TRUE(succeeded(results)) << messages;
    for (int i : {0, 1}) {
      std::string key = operands[i] + (role == "forward" ? "" : "." + role);
      const nlohmann::json &expected = golden[key];
      const Tensor &quantised = (*results)[2 * i], &factors = (*results)[2 * i + 1];
      EXPECT_EQ(std::vector<int64_t>(factors.shape.begin(), factors.shape.end()), expected["shape"].get<std::vector<int64_t>>())
          << recipe << " " << key;
      for (auto [index, first] : llvm::enumerate(expected["first"].get<std::vector<double>>()))
        EXPECT_EQ(factors.values[index], first) << recipe << " " << key;
      EXPECT_EQ(hashOf(factors), expected["factors"].get<std::string>()) << recipe << " " << key;
      EXPECT_EQ(hashOf(quantised), expected["values"].get<std::string>()) << recipe << " " << key;
    }
  }
};

TEST_F(Fp8Recipe, EqualsPyTorch) {
  std::ifstream file(PRIMUS_SOURCE_DIR "/tests/goldens/fp8.json");
  nlohmann::json goldens = nlohmann::json::parse(file);
  EXPECT_EQ(goldens.size(), 7u);
  for (const auto &[recipe, golden] : goldens.items()) {
    check(recipe, golden, "forward", "bsi,oi->bso", {"x", "w"});
    check(recipe, golden, "dgrad", "bso,oi->bsi", {"dy", "w"});
    check(recipe, golden, "wgrad", "bso,bsi->oi", {"dy", "x"});
  }
}

/// What configurations know is what the compiler does.
TEST(Fp8RecipeTable, EveryRecipeHasItsQuantizer) {
  for (const fp8::RecipeTraits &recipe : fp8::kRecipes) {
    std::optional<graph::Fp8Recipe> kind = graph::symbolizeFp8Recipe(StringRef(recipe.name));
    ASSERT_TRUE(kind) << recipe.name;
    EXPECT_EQ(fp8::getQuantizer(*kind) == nullptr, recipe.hasState) << recipe.name;
  }
  EXPECT_EQ(std::size(fp8::kRecipes), size_t(graph::getMaxEnumValForFp8Recipe() + 1));
}

} // namespace

//===- FactorAssignmentTest.cpp - Who decides how an op is split ----------===//

#include "passes/placement/FactorAssignment.h"

#include "mlir/IR/MLIRContext.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace primus;
using namespace primus::placement;

namespace {

class FactorAssignmentTest : public ::testing::Test {
protected:
  FactorAssignmentTest() {
    context.loadDialect<graph::GraphDialect>();
    mesh = graph::MeshAttr::get(&context, {axis("dp"), axis("cp"), axis("tp")}, {2, 2, 2});
  }

  StringAttr axis(StringRef name) { return StringAttr::get(&context, name); }

  /// "dp,cp tp . |cp": lists of axes per dimension ('.': none), then what is pending.
  Layout layout(StringRef text) {
    auto [dims, partial] = text.split('|');
    Layout result;
    SmallVector<StringRef> lists, axes;
    dims.split(lists, ' ', -1, /*KeepEmpty=*/false);
    for (StringRef list : lists) {
      axes.clear();
      if (list != ".")
        list.split(axes, ',');
      result.dims.emplace_back();
      for (StringRef name : axes)
        result.dims.back().push_back(axis(name));
    }
    axes.clear();
    partial.split(axes, ',', -1, /*KeepEmpty=*/false);
    for (StringRef name : axes)
      result.partial.push_back(axis(name));
    return result;
  }

  /// A rule of factors a, b, ... of 8 elements each.
  graph::ShardingRule rule(ArrayRef<StringRef> operands, ArrayRef<StringRef> results, ArrayRef<int64_t> linear,
                           bool jointly = false) {
    graph::ShardingRule rule;
    auto map = [&](StringRef spec) {
      SmallVector<int64_t> dims;
      for (char letter : spec) {
        dims.push_back(letter == '.' ? graph::ShardingRule::replicated : letter - 'a');
        while (static_cast<int64_t>(rule.sizes.size()) <= dims.back()) {
          rule.sizes.push_back(8);
          rule.reduced.push_back(true);
        }
        if (letter != '.' && !inOperands)
          rule.reduced[dims.back()] = false;
      }
      return dims;
    };
    inOperands = true;
    for (StringRef spec : operands)
      rule.operands.push_back(map(spec));
    inOperands = false;
    for (StringRef spec : results)
      rule.results.push_back(map(spec));
    rule.linear.assign(linear.begin(), linear.end());
    rule.jointlyLinear = jointly;
    return rule;
  }

  OperandClaim value(StringRef text) { return {layout(text)}; }
  OperandClaim parameter(StringRef text) { return {layout(text), OperandClaim::Fixed}; }

  /// "operand layouts -> result layouts", or what is in conflict.
  std::string assign(const graph::ShardingRule &rule, ArrayRef<OperandClaim> operands,
                     std::optional<ResultPin> pin = std::nullopt) {
    SmallVector<std::optional<ResultPin>> pins(rule.results.size());
    pins[0] = pin;
    auto assigned = assignFactors(rule, mesh, operands, pins);
    if (auto *conflict = std::get_if<Conflict>(&assigned))
      return "operands " + std::to_string(conflict->first) + " " + describe(conflict->firstAxes) + " and " +
             std::to_string(conflict->second) + " " + describe(conflict->secondAxes);
    std::string text;
    for (const Layout &operand : std::get<OpLayouts>(assigned).operands)
      text += operand.describe() + " ";
    text += "->";
    for (const Layout &result : std::get<OpLayouts>(assigned).results)
      text += " " + result.describe();
    return text;
  }

  bool inOperands = true;
  MLIRContext context;
  graph::MeshAttr mesh;
};

/// y[s, o] = x[s, i] w[o, i] with s = a, i = b, o = c.
TEST_F(FactorAssignmentTest, Projections) {
  graph::ShardingRule linear = rule({"ab", "cb"}, {"ac"}, {0, 1});
  // Column parallel: positions split over tp as well are gathered, because the weight stays.
  EXPECT_EQ(assign(linear, {value("cp ."), parameter("tp .")}), "[cp, ()] [tp, ()] -> [cp, tp]");
  EXPECT_EQ(assign(linear, {value("cp,tp ."), parameter("tp .")}), "[cp, ()] [tp, ()] -> [cp, tp]");
  // Row parallel: the result is a pending sum, also where a pin wants positions split over the axis.
  EXPECT_EQ(assign(linear, {value("cp tp"), parameter(". tp")}), "[cp, tp] [(), tp] -> [cp, ()] partial over tp");
  EXPECT_EQ(assign(linear, {value("cp tp"), parameter(". tp")}, ResultPin{layout("cp,tp .")}),
            "[cp, tp] [(), tp] -> [cp, ()] partial over tp");
  // A weight that is whole makes its input whole.
  EXPECT_EQ(assign(linear, {value("cp tp"), parameter(". .")}), "[cp, ()] [(), ()] -> [cp, ()]");
  // One pending operand passes through; of two, one sum is formed first.
  EXPECT_EQ(assign(linear, {value("cp .|dp"), parameter("tp .")}), "[cp, ()] partial over dp [tp, ()] -> [cp, tp] partial over dp");
  EXPECT_EQ(assign(linear, {value(". .|dp"), value(". .|dp")}), "[(), ()] partial over dp [(), ()] -> [(), ()] partial over dp");
}

/// dw[o, i] = dy[s, o] x[s, i] with s = a, o = b, i = c.
TEST_F(FactorAssignmentTest, GradientsOfWeightsFollowTheirPins) {
  graph::ShardingRule gradient = rule({"ab", "ac"}, {"bc"}, {0, 1});
  ResultPin pin = {layout(". tp"), ResultPin::Open};
  EXPECT_EQ(assign(gradient, {value("cp,tp ."), value("cp tp")}, pin), "[cp, ()] [cp, tp] -> [(), tp] partial over cp");
  // Without one, tokens and columns compete for tp.
  EXPECT_EQ(assign(gradient, {value("cp,tp ."), value("cp tp")}), "operands 0 (cp, tp) and 1 tp");
}

TEST_F(FactorAssignmentTest, UnsplitIsWeakerThanSplitAndAPrefixThanItsList) {
  graph::ShardingRule product = rule({"a", "a"}, {"a"}, {});
  EXPECT_EQ(assign(product, {value("."), value("cp")}), "[cp] [cp] -> [cp]");
  EXPECT_EQ(assign(product, {value("cp,tp"), value("cp")}), "[(cp, tp)] [(cp, tp)] -> [(cp, tp)]");
  EXPECT_EQ(assign(product, {value("cp"), value("tp")}), "operands 0 cp and 1 tp");
  EXPECT_EQ(assign(product, {value("cp"), value("tp")}, ResultPin{layout("tp")}), "[tp] [tp] -> [tp]");
  // Sums are formed before an op that is not linear.
  EXPECT_EQ(assign(product, {value(".|tp"), value("cp")}), "[cp] [cp] -> [cp]");
}

TEST_F(FactorAssignmentTest, SumsStayPendingJointly) {
  graph::ShardingRule sum = rule({"a", "a"}, {"a"}, {0, 1}, /*jointly=*/true);
  EXPECT_EQ(assign(sum, {value("cp|tp"), value("cp|tp")}), "[cp] partial over tp [cp] partial over tp -> [cp] partial over tp");
  EXPECT_EQ(assign(sum, {value("cp|tp"), value("cp")}), "[cp] [cp] -> [cp]");
  EXPECT_EQ(assign(sum, {value(".|cp,tp"), value("cp|tp")}), "[cp] partial over tp [cp] partial over tp -> [cp] partial over tp");
  // Residual: the pin says where the pending operand is summed.
  EXPECT_EQ(assign(sum, {value("cp,tp"), value("cp|tp")}, ResultPin{layout("cp,tp")}),
            "[(cp, tp)] [(cp, tp)] -> [(cp, tp)]");
  // Both are pending: one sum, formed behind the op.
  EXPECT_EQ(assign(sum, {value("cp|tp"), value("cp|tp")}, ResultPin{layout("cp,tp")}),
            "[cp] partial over tp [cp] partial over tp -> [cp] partial over tp");
  // A pin may also ask for a pending sum.
  EXPECT_EQ(assign(sum, {value(".|tp"), value(".")}, ResultPin{layout(".|dp,tp")}),
            "[()] partial over (dp, tp) [()] partial over (dp, tp) -> [()] partial over (dp, tp)");
  // An accumulator takes what is added to it, but keeps how it is split.
  OperandClaim open = {layout("."), OperandClaim::Fixed, /*openPartial=*/true};
  EXPECT_EQ(assign(sum, {open, value(".|dp,cp")}), "[()] partial over (dp, cp) [()] partial over (dp, cp) -> [()] partial over (dp, cp)");
  open.layout = layout("cp");
  EXPECT_EQ(assign(sum, {open, value(".|dp,cp")}), "[cp] partial over dp [cp] partial over dp -> [cp] partial over dp");
}

TEST_F(FactorAssignmentTest, ConstantsFollow) {
  graph::ShardingRule sum = rule({"a", "a"}, {"a"}, {0, 1}, /*jointly=*/true);
  OperandClaim soft = {layout("."), OperandClaim::Soft};
  EXPECT_EQ(assign(sum, {soft, value("tp")}), "[tp] [tp] -> [tp]");
  soft.layout = layout("cp");
  EXPECT_EQ(assign(sum, {soft, value("tp")}), "[tp] [tp] -> [tp]");
  EXPECT_EQ(assign(sum, {soft, soft}), "[cp] [cp] -> [cp]");
}

TEST_F(FactorAssignmentTest, ListsEndWhereSizesDoNotDivide) {
  graph::ShardingRule copy = rule({"a"}, {"a"}, {});
  copy.sizes[0] = 6;
  EXPECT_EQ(assign(copy, {value("cp,tp")}), "[cp] -> [cp]");
  copy.sizes[0] = 3;
  EXPECT_EQ(assign(copy, {value("cp,tp")}), "[()] -> [()]");
}

TEST_F(FactorAssignmentTest, MaximaAreNotSplit) {
  graph::ShardingRule reduce = rule({"ab"}, {"a"}, {});
  EXPECT_EQ(assign(reduce, {value("cp tp")}), "[cp, tp] -> [cp] partial over tp");
  reduce.maximum = true;
  EXPECT_EQ(assign(reduce, {value("cp tp")}), "[cp, ()] -> [cp]");
}

} // namespace

//===- LogicalDimsTest.cpp - Which axes split which dimensions ------------===//

#include "passes/placement/LogicalDims.h"

#include "mlir/IR/Builders.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace primus;
using namespace primus::placement;

namespace {

class PlacedDims : public ::testing::Test {
protected:
  PlacedDims() { context.loadDialect<graph::GraphDialect>(); }

  graph::MeshAttr makeMesh(ArrayRef<int64_t> sizes) {
    SmallVector<StringAttr> names;
    for (StringRef name : {"pp", "dp", "fsdp", "ep", "cp", "tp"})
      names.push_back(builder.getStringAttr(name));
    return graph::MeshAttr::get(&context, names, sizes);
  }

  /// The layout of a tensor of that shape, or the error.
  std::string describe(ArrayRef<int64_t> sizes, ArrayRef<StringRef> dims, ArrayRef<int64_t> shape, bool state = false) {
    LogicalDims logical(makeMesh(sizes), plan);
    std::string message;
    ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
      message = diagnostic.str();
      return success();
    });
    FailureOr<Layout> layout =
        logical.getLayout(builder.getStrArrayAttr(dims), RankedTensorType::get(shape, builder.getF32Type()),
                          [&] { return emitError(builder.getUnknownLoc()); });
    if (failed(layout))
      return message;
    return (state ? logical.shareState(*layout, shape) : *layout).describe();
  }

  MLIRContext context;
  Builder builder{&context};
  Plan plan;
};

TEST_F(PlacedDims, FollowThePlan) {
  SmallVector<int64_t> sizes = {1, 2, 3, 1, 5, 7};
  EXPECT_EQ(describe(sizes, {"batch", "sequence", ""}, {6, 35, 8}), "[(dp, fsdp), cp, ()]");
  EXPECT_EQ(describe(sizes, {"batch", "stream", ""}, {6, 35, 8}), "[(dp, fsdp), cp, ()]");
  plan.sequenceParallel = true;
  EXPECT_EQ(describe(sizes, {"batch", "stream", ""}, {6, 35, 8}), "[(dp, fsdp), (cp, tp), ()]");
  EXPECT_EQ(describe(sizes, {"batch", "sequence", "heads"}, {6, 35, 7}), "[(dp, fsdp), cp, tp]");
  EXPECT_EQ(describe(sizes, {"ffn", ""}, {14, 3}), "[tp, ()]");
  EXPECT_EQ(describe(sizes, {"", "vocabulary"}, {3, 14}), "[(), tp]");
  // Axes of one rank split nothing.
  EXPECT_EQ(describe({1, 1, 1, 1, 1, 1}, {"batch", "stream", "heads"}, {1, 1, 1}), "[(), (), ()]");
}

TEST_F(PlacedDims, MustDivide) {
  EXPECT_EQ(describe({1, 2, 2, 1, 1, 1}, {"batch", ""}, {6, 4}),
            "dimension 0 (batch) of 6 does not divide by 4, the ranks of (dp, fsdp)");
  EXPECT_EQ(describe({1, 2, 2, 1, 1, 1}, {"batch"}, {8, 4}), "names 1 dimensions ([\"batch\"]) of a tensor that has 2");
}

/// State is shared by as many ranks as possible, along the first dimension that all of them divide, behind what splits it
/// anyway; else along several dimensions or by some of the ranks.
TEST_F(PlacedDims, StateIsShared) {
  SmallVector<int64_t> sizes = {1, 2, 2, 1, 3, 2};
  EXPECT_EQ(describe(sizes, {"heads", ""}, {12, 6}, true), "[(tp, fsdp, cp), ()]");
  EXPECT_EQ(describe(sizes, {"heads", ""}, {4, 6}, true), "[tp, (fsdp, cp)]");
  EXPECT_EQ(describe(sizes, {"heads", ""}, {4, 3}, true), "[(tp, fsdp), cp]");
  EXPECT_EQ(describe(sizes, {"heads", ""}, {4, 5}, true), "[(tp, fsdp), ()]");
  EXPECT_EQ(describe(sizes, {"heads", ""}, {6, 5}, true), "[(tp, cp), ()]");
  EXPECT_EQ(describe(sizes, {"heads", ""}, {2, 2}, true), "[tp, fsdp]");
  EXPECT_EQ(describe(sizes, {"", ""}, {2, 3}, true), "[fsdp, cp]");
  // The larger share counts, not the earlier dimension or axis.
  EXPECT_EQ(describe(sizes, {"", ""}, {2, 9}, true), "[fsdp, cp]");
  EXPECT_EQ(describe(sizes, {""}, {9}, true), "[cp]");
  EXPECT_EQ(describe(sizes, {""}, {7}, true), "[()]");
  EXPECT_EQ(describe(sizes, {}, {}, true), "[]");
}

} // namespace

//===- RanksTest.cpp - Virtual ranks, layouts and collectives -------------===//

#include "tests/ir/interpreter/Run.h"

#include "runtime/init/Initializer.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace primus;
using namespace primus::graph;
using namespace primus::interpreter;
using namespace primus::testing;

namespace {

struct TestMesh {
  std::vector<std::string> names;
  std::vector<int64_t> sizes;

  int64_t countRanks() const {
    return std::accumulate(sizes.begin(), sizes.end(), int64_t(1), std::multiplies<int64_t>());
  }
  /// `#graph.mesh<"a" = 2, "b" = 3>`.
  std::string getText() const {
    std::string text;
    for (size_t i = 0; i < names.size(); ++i)
      text += (i ? ", \"" : "\"") + names[i] + "\" = " + std::to_string(sizes[i]);
    return "#graph.mesh<" + text + ">";
  }
  /// A rank's index along each axis.
  std::vector<int64_t> getCoordinates(int64_t rank) const {
    std::vector<int64_t> coordinates(sizes.size());
    for (size_t i = sizes.size(); i-- > 0; rank /= sizes[i])
      coordinates[i] = rank % sizes[i];
    return coordinates;
  }
  int64_t getRank(const std::vector<int64_t> &coordinates) const {
    int64_t rank = 0;
    for (size_t i = 0; i < sizes.size(); ++i)
      rank = rank * sizes[i] + coordinates[i];
    return rank;
  }
};

const TestMesh kMeshes[] = {{{"a"}, {4}}, {{"a", "b"}, {2, 3}}, {{"a", "b", "c"}, {2, 2, 3}}};

/// All ordered selections of axes (their numbers) but the empty one.
std::vector<std::vector<size_t>> getAxisLists(size_t count) {
  std::vector<std::vector<size_t>> lists = {{}}, all;
  for (size_t length = 1; length <= count; ++length) {
    std::vector<std::vector<size_t>> longer;
    for (const std::vector<size_t> &list : lists)
      for (size_t axis = 0; axis < count; ++axis)
        if (!llvm::is_contained(list, axis)) {
          longer.push_back(list);
          longer.back().push_back(axis);
        }
    lists = longer;
    all.insert(all.end(), lists.begin(), lists.end());
  }
  return all;
}

/// The group of ranks over some axes, by its definition.
struct Group {
  const TestMesh &mesh;
  const std::vector<size_t> &axes;

  int64_t getSize() const {
    int64_t size = 1;
    for (size_t axis : axes)
      size *= mesh.sizes[axis];
    return size;
  }
  int64_t getIndex(int64_t rank) const {
    int64_t index = 0;
    for (size_t axis : axes)
      index = index * mesh.sizes[axis] + mesh.getCoordinates(rank)[axis];
    return index;
  }
  /// Member number `index` of the group that `rank` is in.
  int64_t getMember(int64_t rank, int64_t index) const {
    std::vector<int64_t> coordinates = mesh.getCoordinates(rank);
    for (size_t axis : llvm::reverse(axes)) {
      coordinates[axis] = index % mesh.sizes[axis];
      index /= mesh.sizes[axis];
    }
    return mesh.getRank(coordinates);
  }
  /// `["a", "b"]`.
  std::string getText() const {
    std::string text;
    for (size_t axis : axes)
      text += (text.empty() ? "\"" : ", \"") + mesh.names[axis] + "\"";
    return "[" + text + "]";
  }
};

class RanksTest : public IrTest {
protected:
  MeshAttr getMesh(const TestMesh &mesh) { return cast<MeshAttr>(parseAttribute(mesh.getText(), &context)); }
  LayoutAttr getLayout(const std::string &text) {
    return cast<LayoutAttr>(parseAttribute("#graph.layout<" + text + ">", &context));
  }
};

TEST_F(RanksTest, GroupsAreNumberedMajorFirst) {
  for (const TestMesh &mesh : kMeshes) {
    Ranks ranks(getMesh(mesh));
    EXPECT_EQ(ranks.getCount(), mesh.countRanks());
    for (const std::vector<size_t> &axes : getAxisLists(mesh.names.size())) {
      Group group{mesh, axes};
      SmallVector<StringRef> names;
      for (size_t axis : axes)
        names.push_back(mesh.names[axis]);
      for (int64_t rank = 0; rank < mesh.countRanks(); ++rank) {
        SmallVector<int64_t> members = ranks.getGroup(rank, names);
        ASSERT_EQ(static_cast<int64_t>(members.size()), group.getSize());
        EXPECT_EQ(ranks.getIndex(rank, names), group.getIndex(rank));
        for (auto [index, member] : llvm::enumerate(members))
          EXPECT_EQ(member, group.getMember(rank, index));
      }
    }
  }
}

TEST_F(RanksTest, SlicesAreBlocks) {
  // 12 rows over (c, a): rank (a, b, c) has block number 2 c + a of 6; 4 columns over b.
  Ranks ranks(getMesh(kMeshes[2]));
  Tensor whole = random({12, 4}, 0);
  LayoutAttr layout = getLayout(R"(mesh, [["c", "a"], ["b"]])");
  auto module = parse("");
  for (int64_t rank = 0; rank < 12; ++rank) {
    std::vector<int64_t> at = kMeshes[2].getCoordinates(rank);
    FailureOr<Tensor> part = ranks.slice(*module, whole, layout, rank);
    ASSERT_TRUE(succeeded(part));
    ASSERT_EQ(part->shape, (SmallVector<int64_t>{2, 2}));
    for (int64_t row = 0; row < 2; ++row)
      for (int64_t column = 0; column < 2; ++column)
        EXPECT_EQ(part->values[row * 2 + column],
                  whole.values[((2 * at[2] + at[0]) * 2 + row) * 4 + at[1] * 2 + column]);
  }
}

TEST_F(RanksTest, JoiningGivesBackTheWhole) {
  Ranks ranks(getMesh(kMeshes[2]));
  auto module = parse("");
  Tensor whole = random({12, 12}, 0);
  for (const char *text :
       {R"(mesh, [[], []])", R"(mesh, [["a"], ["b", "c"]])", R"(mesh, [["c", "b", "a"], []])", R"(mesh, [[], ["c"]])",
        R"(mesh, [["b"], []], partial = {a : sum, c : sum})", R"(mesh, [[], ["a"]], partial = {b : max})",
        R"(mesh, [["a"], []], partial = {b : max, c : sum})"}) {
    LayoutAttr layout = getLayout(text);
    SmallVector<TensorRef> parts;
    for (int64_t rank = 0; rank < ranks.getCount(); ++rank) {
      FailureOr<Tensor> part = ranks.slice(*module, whole, layout, rank);
      ASSERT_TRUE(succeeded(part));
      parts.push_back(std::make_shared<Tensor>(*part));
    }
    FailureOr<Tensor> joined = ranks.join(*module, "it", parts, layout);
    ASSERT_TRUE(succeeded(joined)) << messages;
    EXPECT_EQ(joined->shape, whole.shape);
    EXPECT_EQ(joined->values, whole.values) << text;
    EXPECT_EQ(ranks.getWholeType(RankedTensorType::get(parts[0]->shape, whole.elementType, layout)), whole.getType());
  }
}

TEST_F(RanksTest, PendingReductionsAreMadeWhenJoined) {
  Ranks ranks(getMesh(kMeshes[0]));
  auto module = parse("");
  SmallVector<TensorRef> parts;
  for (double value : {1.0, 7.0, -2.0, 3.0})
    parts.push_back(std::make_shared<Tensor>(tensor({}, {value})));
  EXPECT_EQ(ranks.join(*module, "it", parts, getLayout("mesh, [], partial = {a : sum}"))->values, (std::vector<double>{9}));
  EXPECT_EQ(ranks.join(*module, "it", parts, getLayout("mesh, [], partial = {a : max}"))->values, (std::vector<double>{7}));
  EXPECT_TRUE(failed(ranks.join(*module, "it", parts, getLayout("mesh, []"))));
  EXPECT_EQ(messages, "it differs between ranks 0 and 1 of axis \"a\", along which each should have the same\n");
}

TEST_F(RanksTest, CollectivesDoWhatTheirDefinitionsSay) {
  constexpr int64_t rows = 12, columns = 24;
  struct Collective {
    std::string op;
    int64_t rows, columns;
    /// Element (row, column) of a rank's result.
    std::function<double(int64_t rank, int64_t row, int64_t column)> expected;
  };
  for (const TestMesh &mesh : kMeshes)
    for (const std::vector<size_t> &axes : getAxisLists(mesh.names.size())) {
      Group group{mesh, axes};
      const int64_t ranks = mesh.countRanks(), n = group.getSize();
      Tensor input = random({ranks, rows, columns}, 0);
      auto x = [&](int64_t rank, int64_t row, int64_t column) {
        return input.values[(rank * rows + row) * columns + column];
      };
      auto sum = [&](int64_t rank, int64_t row, int64_t column) {
        double total = 0;
        for (int64_t i = 0; i < n; ++i)
          total += x(group.getMember(rank, i), row, column);
        return total;
      };
      auto most = [&](int64_t rank, int64_t row, int64_t column) {
        double largest = x(rank, row, column);
        for (int64_t i = 0; i < n; ++i)
          largest = std::max(largest, x(group.getMember(rank, i), row, column));
        return largest;
      };
      auto from = [&](int64_t shift) {
        return [&, shift](int64_t rank, int64_t row, int64_t column) {
          return x(group.getMember(rank, ((group.getIndex(rank) - shift) % n + n) % n), row, column);
        };
      };
      std::string over = " over " + group.getText();
      const Collective collectives[] = {
          {"all_reduce sum %x" + over, rows, columns, sum},
          {"all_reduce max %x" + over, rows, columns, most},
          {"reduce_scatter sum %x" + over + " dim 0", rows / n, columns,
           [&](int64_t rank, int64_t row, int64_t column) {
             return sum(rank, group.getIndex(rank) * rows / n + row, column);
           }},
          {"reduce_scatter max %x" + over + " dim 1", rows, columns / n,
           [&](int64_t rank, int64_t row, int64_t column) {
             return most(rank, row, group.getIndex(rank) * columns / n + column);
           }},
          {"all_gather %x" + over + " dim 0", rows * n, columns,
           [&](int64_t rank, int64_t row, int64_t column) {
             return x(group.getMember(rank, row / rows), row % rows, column);
           }},
          {"all_gather %x" + over + " dim 1", rows, columns * n,
           [&](int64_t rank, int64_t row, int64_t column) {
             return x(group.getMember(rank, column / columns), row, column % columns);
           }},
          {"all_to_all %x" + over + " split 0 concat 1", rows / n, columns * n,
           [&](int64_t rank, int64_t row, int64_t column) {
             return x(group.getMember(rank, column / columns), group.getIndex(rank) * rows / n + row, column % columns);
           }},
          {"all_to_all %x" + over + " split 1 concat 0", rows * n, columns / n,
           [&](int64_t rank, int64_t row, int64_t column) {
             return x(group.getMember(rank, row / rows), row % rows, group.getIndex(rank) * columns / n + column);
           }},
          {"permute %x" + over + " shift 1", rows, columns, from(1)},
          {"permute %x" + over + " shift -5", rows, columns, from(-5)},
          {"block %x" + over + " dim 1", rows, columns / n,
           [&](int64_t rank, int64_t row, int64_t column) {
             return x(rank, row, group.getIndex(rank) * columns / n + column);
           }},
      };
      // Each rank has its own matrix: dimension 0 of the input is split over the whole mesh.
      std::vector<size_t> all(mesh.names.size());
      std::iota(all.begin(), all.end(), 0);
      std::string split = "#graph.layout<mesh, [" + Group{mesh, all}.getText() + ", [], []]>", matrix = "tensor<12x24xf32>";
      std::string variables, body;
      for (auto [i, collective] : llvm::enumerate(collectives)) {
        std::string type =
            "tensor<" + std::to_string(collective.rows) + "x" + std::to_string(collective.columns) + "xf32>";
        std::string name = std::to_string(i), signature = type;
        if (!StringRef(collective.op).starts_with("permute"))
          signature = matrix + " -> " + type;
        variables += "graph.variable @v" + name + " : " + type + " role constant init #graph.init<\"zeros\">\n";
        body += "%r" + name + " = graph." + collective.op + " : " + signature + "\n";
        body += "graph.store %r" + name + ", @v" + name + " : " + type + "\n";
      }
      auto module = parse("module attributes {graph.placed, graph.mesh = " + mesh.getText() + "} {\n" + variables +
                          "func.func @f(%i: tensor<1x12x24xf32, " + split + ">) {\n%x = graph.reshape %i : tensor<1x12x24xf32, " +
                          split + "> -> " + matrix + "\n" + body + "return\n}\n}");
      ASSERT_TRUE(module);
      Interpreter interpreter(*module);
      ASSERT_TRUE(succeeded(interpreter.run("f", {input}))) << messages;
      for (auto [i, collective] : llvm::enumerate(collectives))
        for (int64_t rank = 0; rank < ranks; ++rank) {
          TensorRef result = interpreter.getVariable("v" + std::to_string(i), rank);
          std::vector<double> expected;
          for (int64_t row = 0; row < collective.rows; ++row)
            for (int64_t column = 0; column < collective.columns; ++column)
              expected.push_back(collective.expected(rank, row, column));
          EXPECT_EQ(result->values, expected) << mesh.getText() << " " << collective.op << " on rank " << rank;
        }
    }
}

/// Two matmuls, the first split by columns and the second by rows, and a gradient-like sum over data ranks.
constexpr const char *kPlaced = R"(
module attributes {graph.placed, graph.mesh = #graph.mesh<"dp" = 2, "tp" = 2>} {
  graph.variable @up : tensor<4x6xf32, #graph.layout<mesh, [["tp"], []]>> role parameter init #graph.init<"normal", {std = 1.0 : f64}> {stream = 1}
  graph.variable @down : tensor<6x4xf32, #graph.layout<mesh, [[], ["tp"]]>> role parameter init #graph.init<"normal", {std = 1.0 : f64}> {stream = 2}
  graph.variable @sum : tensor<f32, #graph.layout<mesh, [], partial = {dp : sum}>> role gradient init #graph.init<"ones">
  func.func @f(%x: tensor<2x6xf32, #graph.layout<mesh, [["dp"], []]>>) -> (tensor<2x6xf32, #graph.layout<mesh, [["dp"], []]>>, tensor<2x6xf32, #graph.layout<mesh, [["dp"], []], partial = {tp : sum}>>) {
    %up = graph.load @up : tensor<4x6xf32, #graph.layout<mesh, [["tp"], []]>>
    %down = graph.load @down : tensor<6x4xf32, #graph.layout<mesh, [[], ["tp"]]>>
    %h = graph.matmul "bi,hi->bh" %x, %up : (tensor<2x6xf32, #graph.layout<mesh, [["dp"], []]>>, tensor<4x6xf32, #graph.layout<mesh, [["tp"], []]>>) -> tensor<2x4xf32, #graph.layout<mesh, [["dp"], ["tp"]]>>
    %a = graph.activation silu %h : tensor<2x4xf32, #graph.layout<mesh, [["dp"], ["tp"]]>>
    %part = graph.matmul "bh,oh->bo" %a, %down : (tensor<2x4xf32, #graph.layout<mesh, [["dp"], ["tp"]]>>, tensor<6x4xf32, #graph.layout<mesh, [[], ["tp"]]>>) -> tensor<2x6xf32, #graph.layout<mesh, [["dp"], []], partial = {tp : sum}>>
    %y = graph.all_reduce sum %part over ["tp"] : tensor<2x6xf32, #graph.layout<mesh, [["dp"], []], partial = {tp : sum}>> -> tensor<2x6xf32, #graph.layout<mesh, [["dp"], []]>>
    %s = graph.reduce sum %y dims [0, 1] : tensor<2x6xf32, #graph.layout<mesh, [["dp"], []]>> -> tensor<f32, #graph.layout<mesh, [], partial = {dp : sum}>>
    %old = graph.load @sum : tensor<f32, #graph.layout<mesh, [], partial = {dp : sum}>>
    %new = graph.add %old, %s : tensor<f32, #graph.layout<mesh, [], partial = {dp : sum}>>
    graph.store %new, @sum : tensor<f32, #graph.layout<mesh, [], partial = {dp : sum}>>
    return %y, %part : tensor<2x6xf32, #graph.layout<mesh, [["dp"], []]>>, tensor<2x6xf32, #graph.layout<mesh, [["dp"], []], partial = {tp : sum}>>
  }
})";

constexpr const char *kWhole = R"(
  graph.variable @up : tensor<8x6xf32> role parameter init #graph.init<"normal", {std = 1.0 : f64}> {stream = 1}
  graph.variable @down : tensor<6x8xf32> role parameter init #graph.init<"normal", {std = 1.0 : f64}> {stream = 2}
  func.func @f(%x: tensor<4x6xf32>) -> (tensor<4x6xf32>, tensor<f32>) {
    %up = graph.load @up : tensor<8x6xf32>
    %down = graph.load @down : tensor<6x8xf32>
    %h = graph.matmul "bi,hi->bh" %x, %up : (tensor<4x6xf32>, tensor<8x6xf32>) -> tensor<4x8xf32>
    %a = graph.activation silu %h : tensor<4x8xf32>
    %y = graph.matmul "bh,oh->bo" %a, %down : (tensor<4x8xf32>, tensor<6x8xf32>) -> tensor<4x6xf32>
    %s = graph.reduce sum %y dims [0, 1] : tensor<4x6xf32> -> tensor<f32>
    return %y, %s : tensor<4x6xf32>, tensor<f32>
  })";

TEST_F(RanksTest, PlacedModulesComputeTheWhole) {
  Tensor x = random({4, 6}, 5);
  auto placedModule = parse(kPlaced), wholeModule = parse(kWhole);
  Interpreter placed(*placedModule), whole(*wholeModule);
  ASSERT_TRUE(succeeded(placed.initializeVariables(3)) && succeeded(whole.initializeVariables(3))) << messages;
  EXPECT_EQ(placed.getVariable("down")->values, whole.getVariable("down")->values);
  auto actual = placed.run("f", {x}), expected = whole.run("f", {x});
  ASSERT_TRUE(succeeded(actual) && succeeded(expected)) << messages;
  EXPECT_LT(relativeError((*actual)[0].values, (*expected)[0].values), 1e-14);
  // A result that is still partial is reduced on the way out.
  EXPECT_LT(relativeError((*actual)[1].values, (*expected)[0].values), 1e-14);
  // A partial variable's first value counts once.
  EXPECT_NEAR(placed.getVariable("sum")->values[0], 1 + (*expected)[1].values[0], 1e-12);
  EXPECT_NE(placed.getVariable("sum", 0)->values, placed.getVariable("sum", 2)->values);
}

TEST_F(RanksTest, EachRankKnowsItsPlace) {
  auto module = parse(R"(
module attributes {graph.placed, graph.mesh = #graph.mesh<"cp" = 2, "tp" = 3>} {
  graph.variable @tp : tensor<i32> role constant init #graph.init<"axis_index", {axes = ["tp"]}>
  graph.variable @both : tensor<i32> role constant init #graph.init<"axis_index", {axes = ["tp", "cp"]}>
  graph.variable @positions : tensor<4xi32, #graph.layout<mesh, [["cp"]]>> role constant init #graph.init<"positions", {ranks = 2.0 : f64}>
  graph.variable @copy : tensor<i32> role constant init #graph.init<"zeros">
  func.func @f() {
    %i = graph.load @tp : tensor<i32>
    graph.store %i, @copy : tensor<i32>
    return
  }
})");
  ASSERT_TRUE(module);
  Interpreter interpreter(*module);
  ASSERT_TRUE(succeeded(interpreter.initializeVariables(1)) && succeeded(interpreter.run("f", {}))) << messages;
  for (int64_t cp = 0; cp < 2; ++cp)
    for (int64_t tp = 0; tp < 3; ++tp) {
      EXPECT_EQ(interpreter.getVariable("tp", cp * 3 + tp)->values[0], tp);
      EXPECT_EQ(interpreter.getVariable("both", cp * 3 + tp)->values[0], tp * 2 + cp);
      for (int64_t i = 0; i < 4; ++i)
        EXPECT_EQ(interpreter.getVariable("positions", cp * 3 + tp)->values[i],
                  runtime::getContextPosition(cp * 4 + i, 8, 2));
    }
  // A variable that should be the same on all ranks, and is not.
  EXPECT_EQ(interpreter.getVariable("copy"), nullptr);
  EXPECT_EQ(messages, "'copy' differs between ranks 0 and 1 of axis \"tp\", along which each should have the same\n");
}

TEST_F(RanksTest, SaysWhatIsWrong) {
  auto expectError = [&](const std::string &text, const Tensor &input, const std::string &message) {
    auto module = parse(text);
    ASSERT_TRUE(module);
    messages.clear();
    EXPECT_TRUE(failed(Interpreter(*module).run("f", {input})));
    EXPECT_EQ(messages, message + "\n");
  };
  std::string function = "func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {\n"
                         "%y = graph.all_reduce sum %x over [\"tp\"] : tensor<4xf32> -> tensor<4xf32>\n"
                         "return %y : tensor<4xf32>\n}";
  expectError(function, tensor({4}, {1, 2, 3, 4}),
              "'graph.all_reduce' op cannot run over [\"tp\"]: the module must be placed (attribute graph.placed) on a "
              "mesh with these axes");
  auto identity = [](const std::string &layout) {
    std::string type = "tensor<2xf32, #graph.layout<mesh, [" + layout + "]>>";
    return "module attributes {graph.placed, graph.mesh = #graph.mesh<\"tp\" = 2>} {\nfunc.func @f(%x: " + type +
           ") -> " + type + " {\nreturn %x : " + type + "\n}\n}";
  };
  expectError(identity(R"(["ep"])"), tensor({4}, {1, 2, 3, 4}),
              "the layout #graph.layout<mesh, [[\"ep\"]]> names an axis that the mesh #graph.mesh<\"tp\" = 2> does not "
              "have");
  expectError(identity(R"(["tp"])"), tensor({3}, {1, 2, 3}),
              "dimension 0 of a value of type 'tensor<3xf32>' cannot be split over [\"tp\"], which are 2 ranks");
  expectError(identity(R"(["tp"])"), tensor({2, 2}, {1, 2, 3, 4}),
              "a value of type 'tensor<2x2xf32>' cannot have the layout #graph.layout<mesh, [[\"tp\"]]>");
}

} // namespace

//===- LayoutDifferentialTest.cpp - Every layout computes the same --------===//
//
// Whole training steps on meshes of up to eight virtual ranks against the same step on one rank, in exact mode: loss,
// gradient norm, every gradient and every updated parameter. Layouts are generated. A sample of them runs by default,
// all with PRIMUS_TEST_ALL_LAYOUTS=1 in the environment.
//
//===----------------------------------------------------------------------===//

#include "tests/passes/LayoutDifferential.h"

#include "passes/LayerFunction.h"
#include "passes/verify/PhaseVerifiers.h"

#include <cstdlib>
#include <random>

using namespace mlir;
using namespace primus;
using namespace primus::interpreter;
using namespace primus::testing;

namespace {

std::vector<Mesh> generateMeshes(const Model &model) {
  std::vector<Mesh> meshes;
  for (int64_t replicate : {1, 2, 4, 8})
    for (int64_t shard : {1, 2, 4, 8})
      for (int64_t context = 1; context <= 8; ++context)
        for (int64_t tensor = 1; tensor <= 8; ++tensor) {
          Mesh mesh{replicate, shard, context, tensor};
          if (mesh.getRanks() == 1 || mesh.getRanks() > 8 || kTokens % (2 * context) != 0 || model.heads % tensor != 0)
            continue;
          int64_t stages = mesh.shard * mesh.context > 1 ? 3 : 0;
          for (mesh.zero = 0; mesh.zero <= stages; ++mesh.zero) {
            for (bool ring : {false, true})
              for (bool sequenceParallel : {false, true}) {
                mesh.ring = ring;
                mesh.sequenceParallel = sequenceParallel;
                if ((!ring || context > 1) && (!sequenceParallel || (tensor > 1 && kTokens % (context * tensor) == 0)))
                  meshes.push_back(mesh);
              }
          }
        }
  return meshes;
}

class LayoutDifferentialOfModel : public LayoutDifferential, public ::testing::WithParamInterface<Model> {};

/// In exact mode all types are f64, but in mixed precision the functions differ: copies of parameters, conversions. The
/// mean of means is one rank's whose microbatches are those of the data ranks, one after the other.
TEST_P(LayoutDifferentialOfModel, AgreesWithOneRank) {
  const Model &model = GetParam();
  std::vector<Mesh> meshes = generateMeshes(model);
  ASSERT_GT(meshes.size(), 30u);
  if (!std::getenv("PRIMUS_TEST_ALL_LAYOUTS")) {
    std::shuffle(meshes.begin(), meshes.end(), std::mt19937(11));
    meshes.resize(25);
  }
  constexpr Recompute recomputes[] = {Recompute::None, Recompute::Full, Recompute::Selective};
  std::map<std::string, StepResult> expected;
  for (auto [index, mesh] : llvm::enumerate(meshes)) {
    Variant variant = {index % 2 ? "BF16" : "F32", recomputes[index % 3],
                       index % 5 == 0};
    SCOPED_TRACE(mesh.describe() + " " + variant.precision + " recompute=" + std::to_string(index % 3) +
                 (variant.perMicrobatchMean ? " mean" : ""));
    int64_t micro = variant.perMicrobatchMean ? mesh.getMicro() : 0;
    std::string key = variant.precision + std::to_string(micro);
    if (!expected.count(key))
      expected[key] = run(model, {}, "train", {variant.precision, Recompute::None, variant.perMicrobatchMean, micro});
    auto [error, where] = compare(run(model, mesh, "placed", variant), expected[key]);
    EXPECT_LT(error, 1e-9) << where;
    messages.clear();
  }
}

/// Sequences differ in how many labels are ignored: it matters over which of them a mean is taken.
TEST_F(LayoutDifferential, MeansOfDataRanksCountAlike) {
  for (Mesh mesh : {Mesh{2, 1, 1, 1}, Mesh{2, 2, 1, 2, true, 1}, Mesh{1, 2, 2, 1, false, 3, true}, Mesh{1, 1, 2, 2}}) {
    SCOPED_TRACE(mesh.describe());
    StepResult means = run(kModels[0], {}, "train", {"F32", Recompute::None, true, mesh.getMicro()});
    auto [error, where] = compare(run(kModels[0], mesh, "placed", {"F32", Recompute::None, true}), means);
    EXPECT_LT(error, 1e-9) << where;
    int64_t together = mesh.getMicro() * mesh.getDataRanks();
    StepResult other = run(kModels[0], {}, "train", {"F32", Recompute::None, true, together});
    EXPECT_EQ(compare(other, means).first > 1e-5, mesh.getDataRanks() > 1);
  }
}

/// In exact mode quantised tensors stand for what they are made of, so that no recipe changes what a step computes. The
/// state of delayed scaling is that of one rank.
TEST_F(LayoutDifferential, QuantisedProductsAgree) {
  StepResult plain = run(kModels[0], {}, "train", {"BF16"});
  std::vector<Mesh> meshes = {{},
                              {2, 1, 1, 1},
                              {2, 2, 1, 2, true, 1},
                              {1, 2, 2, 1, false, 3, true},
                              {1, 1, 2, 2},
                              {1, 4, 1, 2, false, 3}};
  for (const char *recipe : {"tensorwise", "rowwise", "blockwise", "mxfp8", "delayed"}) {
    StepResult oneRank = run(kModels[0], {}, "fp8", {"BF16", Recompute::None, false, 0, recipe});
    for (auto [index, mesh] : llvm::enumerate(meshes)) {
      SCOPED_TRACE(std::string(recipe) + " " + mesh.describe());
      Variant variant = {"BF16", index % 2 ? Recompute::Full : Recompute::None, false, 0, recipe};
      StepResult step = run(kModels[0], mesh, "placed", variant);
      for (const StepResult *expected : {&plain, &oneRank}) {
        auto [error, where] = compare(step, *expected);
        EXPECT_LT(error, 1e-9) << where;
      }
    }
  }
  StepResult delayed = run(kModels[0], {}, "fp8", {"BF16", Recompute::None, false, 0, "delayed"});
  EXPECT_EQ(delayed.variables.count("layers.1.fp8.history"), 1u);
  EXPECT_NE(delayed.variables["layers.1.fp8.scale"], std::vector<double>(delayed.variables["layers.1.fp8.scale"].size(), 1.0));
}

/// The programs besides the training step: the loss of a microbatch, the logits of one position, gradients alone.
TEST_P(LayoutDifferentialOfModel, OtherProgramsAgree) {
  const Model &model = GetParam();
  std::vector<Mesh> meshes = {{}, {1, 2, 1, 1, false, 3}, {2, 1, 2, 1, false, 2}};
  if (model.heads % 2 == 0)
    meshes.push_back({1, 2, 1, 2, true, 1});
  std::vector<double> logits;
  StepResult expected;
  for (const Mesh &mesh : meshes) {
    SCOPED_TRACE(mesh.describe());
    models::ModelPrograms programs;
    programs.sample = true;
    OwningOpRef<ModuleOp> module = build(model, mesh, {"BF16"}, programs);
    ASSERT_TRUE(module);
    Plan plan = *Plan::get(*module);
    plan.goal = Goal::Gradients;
    plan.set(*module);
    ASSERT_TRUE(succeeded(runPhases(*module, *findPhase("model"), *findPhase("placed")))) << messages;
    std::vector<Tensor> inputs = makeInputs(plan, mesh);
    inputs.resize(2);
    Interpreter interpreter(*module);
    ASSERT_TRUE(succeeded(interpreter.initializeVariables(/*seed=*/3)));
    auto loss = interpreter.run("gradients", inputs);
    ASSERT_TRUE(succeeded(loss)) << messages;
    StepResult step;
    step.loss = (*loss)[0].values[0];
    step.gradNorm = 1;
    for (auto variable : module->getOps<graph::VariableOp>())
      if (variable.getRole() == graph::Role::Gradient)
        step.variables[variable.getSymName().str()] = interpreter.getVariable(variable.getSymName())->values;

    // The first microbatch; of it, the position that is the fourth in the sequence.
    int64_t batch = kSequences / plan.microbatches;
    double sum = 0, valid = 0;
    std::vector<Tensor> first;
    for (int64_t microbatch = 0; microbatch < plan.microbatches; ++microbatch) {
      std::vector<Tensor> part;
      for (const Tensor &all : inputs) {
        auto begin = all.values.begin() + microbatch * batch * kTokens;
        part.push_back(tensor({batch, kTokens}, std::vector<double>(begin, begin + batch * kTokens), all.elementType));
      }
      if (microbatch == 0)
        first = part;
      auto results = interpreter.run("forward", part);
      ASSERT_TRUE(succeeded(results)) << messages;
      sum += (*results)[0].values[0];
      valid += (*results)[1].values[0];
    }
    EXPECT_NEAR(sum / valid, step.loss, 1e-9 * step.loss);
    double position = 0;
    while (runtime::getContextPosition(position, kTokens, mesh.context) != 4)
      ++position;
    auto sample = interpreter.run("sample", {first[0], tensor({1}, {position}, IntegerType::get(&context, 32))});
    ASSERT_TRUE(succeeded(sample)) << messages;
    if (mesh.getRanks() == 1) {
      expected = step;
      logits = (*sample)[0].values;
      continue;
    }
    auto [error, where] = compare(step, expected);
    EXPECT_LT(error, 1e-9) << where;
    EXPECT_LT(relativeError((*sample)[0].values, logits), 1e-9);
  }
}

//===----------------------------------------------------------------------===//
// Negative controls
//===----------------------------------------------------------------------===//

constexpr Mesh kMesh = {/*replicate=*/2, /*shard=*/2, /*context=*/1, /*tensor=*/2, /*sequenceParallel=*/true, /*zero=*/1};

/// Without any one of its reshards, the module is refused.
TEST_F(LayoutDifferential, NoReshardCanBeLeftOut) {
  OwningOpRef<ModuleOp> module = build(kModels[0], kMesh);
  ASSERT_TRUE(module && succeeded(runPhases(*module, *findPhase("model"), *findPhase("sharded")))) << messages;
  int64_t count = 0;
  module->walk([&](graph::ReshardOp) { ++count; });
  EXPECT_GT(count, 40);
  for (int64_t left = 0; left < count; ++left) {
    OwningOpRef<ModuleOp> broken = module->clone();
    int64_t index = 0;
    broken->walk([&](graph::ReshardOp reshard) {
      if (index++ == left)
        reshard.getResult().replaceAllUsesWith(reshard.getOperand());
    });
    EXPECT_TRUE(failed(verify(*broken)) || failed(verifySharded(*broken))) << left;
  }
}

/// One of `OpT` in a function of the module.
template <typename OpT>
OpT find(ModuleOp module, StringRef function, llvm::function_ref<bool(OpT)> accept = [](OpT) { return true; }) {
  OpT found;
  module.lookupSymbol<func::FuncOp>(function).walk([&](OpT op) {
    if (!found && accept(op))
      found = op;
  });
  EXPECT_TRUE(found) << function.str();
  return found;
}

/// The operand in the result's place: what a collective would have done is left out, and the types say otherwise.
void skip(Operation *collective) {
  OpBuilder builder(collective);
  Value retyped = graph::ReshapeOp::create(builder, collective->getLoc(), collective->getResult(0).getType(),
                                           collective->getOperand(0));
  collective->getResult(0).replaceAllUsesWith(retyped);
}

struct Defect {
  const char *name;
  void (*seed)(ModuleOp);
  /// The verifier sees it; else only the comparison does.
  bool isRefused;
};

constexpr Defect kDefects[] = {
    {"the loss is not summed over the replicas",
     [](ModuleOp module) { skip(find<graph::AllReduceOp>(module, "normalise")); }, true},
    {"the norm is not summed", [](ModuleOp module) { skip(find<graph::AllReduceOp>(module, "clip")); }, true},
    {"a gradient is not summed over the replicas",
     [](ModuleOp module) { skip(find<graph::AllReduceOp>(module, "block.reduce")); }, true},
    {"a sum over the wrong axis",
     [](ModuleOp module) {
       auto op = find<graph::AllReduceOp>(module, "block.reduce");
       op.setAxesAttr(Builder(module.getContext()).getStrArrayAttr({"tp"}));
     },
     true},
    {"a sum scattered over the wrong axis",
     [](ModuleOp module) {
       auto op = find<graph::ReduceScatterOp>(module, "block.forward");
       op.setAxesAttr(Builder(module.getContext()).getStrArrayAttr({"fsdp"}));
     },
     true},
    {"a whole value counted once for each rank",
     [](ModuleOp module) {
       auto op = find<graph::DivOp>(module, "block.reduce");
       op.getResult().replaceAllUsesWith(op.getLhs());
     },
     true},
    {"a missing division by the number of tokens",
     [](ModuleOp module) {
       func::FuncOp reduce = module.lookupSymbol<func::FuncOp>("block.reduce");
       auto op = find<graph::MulOp>(module, "block.reduce", [&](graph::MulOp mul) {
         auto wide = mul.getRhs().getDefiningOp<graph::BroadcastOp>();
         return wide && wide.getOperand() == reduce.getArgument(getArgsOfKind(reduce, ArgKind::Scalar)[0]);
       });
       op.getResult().replaceAllUsesWith(op.getLhs());
     },
     false},
    {"rows of the vocabulary by the wrong axis",
     [](ModuleOp module) {
       auto place = module.lookupSymbol<graph::VariableOp>("axis_index.tp");
       Builder b(module.getContext());
       place.setInitAttr(graph::InitAttr::get(module.getContext(), b.getStringAttr("axis_index"),
                                              b.getDictionaryAttr(b.getNamedAttr("axes", b.getStrArrayAttr({"dp"})))));
     },
     false}};

TEST_F(LayoutDifferential, SeesSeededDefects) {
  StepResult expected = run(kModels[0], {}, "train");
  OwningOpRef<ModuleOp> module = build(kModels[0], kMesh);
  ASSERT_TRUE(module && succeeded(runPhases(*module, *findPhase("model"), *findPhase("placed")))) << messages;
  FailureOr<StepResult> good = runStep(*module, kMesh);
  ASSERT_TRUE(succeeded(good)) << messages;
  EXPECT_LT(compare(*good, expected).first, 1e-9);
  for (const Defect &defect : kDefects) {
    SCOPED_TRACE(defect.name);
    OwningOpRef<ModuleOp> broken = module->clone();
    defect.seed(*broken);
    EXPECT_EQ(failed(verify(*broken)) || failed(verifyPlaced(*broken)), defect.isRefused);
    FailureOr<StepResult> bad = runStep(*broken, kMesh);
    EXPECT_TRUE(failed(bad) || compare(*bad, expected).first > 1e-6);
  }
}

/// Where the means of data ranks count alike, their number divides the gradients.
TEST_F(LayoutDifferential, SeesAMissingDivisionByTheDataRanks) {
  Variant variant{"F32", Recompute::None, /*perMicrobatchMean=*/true, kMesh.getMicro()};
  StepResult expected = run(kModels[0], {}, "train", variant);
  OwningOpRef<ModuleOp> module = build(kModels[0], kMesh, variant);
  ASSERT_TRUE(module && succeeded(runPhases(*module, *findPhase("model"), *findPhase("placed")))) << messages;
  FailureOr<StepResult> good = runStep(*module, kMesh);
  ASSERT_TRUE(succeeded(good)) << messages;
  EXPECT_LT(compare(*good, expected).first, 1e-9);
  Operation *terminator = module->lookupSymbol<func::FuncOp>("normalise").front().getTerminator();
  OpBuilder builder(terminator);
  Value inverse = terminator->getOperand(1);
  terminator->setOperand(1, graph::ConstantOp::create(builder, inverse.getLoc(), cast<RankedTensorType>(inverse.getType()), 1.0));
  ASSERT_TRUE(succeeded(verify(*module))) << messages;
  FailureOr<StepResult> bad = runStep(*module, kMesh);
  EXPECT_TRUE(failed(bad) || compare(*bad, expected).first > 1e-6);
}

INSTANTIATE_TEST_SUITE_P(Models, LayoutDifferentialOfModel, ::testing::ValuesIn(kModels),
                         [](const auto &info) { return std::string(info.param.name); });

} // namespace

//===- StageDifferentialTest.cpp - Every schedule computes the same -------===//
//
// Whole training steps as pipelines of two to eight ranks, beside other axes, against the same step on one rank, in exact
// mode: loss, gradient norm, every gradient, every updated parameter, and the loss that @forward then computes.
//
//===----------------------------------------------------------------------===//

#include "tests/passes/LayoutDifferential.h"

#include "ir/interpreter/Stages.h"
#include "passes/schedules/Schedules.h"
#include "passes/stages/StageMap.h"

#include <cstdlib>
#include <random>

using namespace mlir;
using namespace primus;
using namespace primus::interpreter;
using namespace primus::testing;

namespace {

/// A pipeline, and what it is composed with.
struct Pipeline {
  const schedules::Schedule *schedule;
  int64_t ranks, stagesPerRank, micro;
  Mesh mesh;

  int64_t getStages() const { return ranks * stagesPerRank; }
  int64_t getMicrobatches() const { return kSequences / micro / mesh.getDataRanks(); }
  std::string describe() const {
    return schedule->name.str() + " of " + std::to_string(ranks) + " x " + std::to_string(stagesPerRank) + " stages, " +
           std::to_string(getMicrobatches()) + " microbatches, " + mesh.describe();
  }
};

class StageDifferential : public LayoutDifferential {
protected:
  StageDifferential() { evaluates = true; }

  /// A model with that many layers.
  static std::string withLayers(const Model &model, int64_t layers) {
    std::string text = model.text;
    size_t count = text.find("layers { count: ") + 16;
    return text.replace(count, 1, std::to_string(layers));
  }

  /// Sets the attributes: stages of uneven lengths, by `random`.
  void setPipeline(ModuleOp module, const Pipeline &pipeline, int64_t layers, std::mt19937 &random) {
    std::vector<std::string> instances{"embedding"};
    for (int64_t layer = 0; layer < layers; ++layer)
      instances.push_back("layers." + std::to_string(layer));
    instances.push_back("head");
    std::vector<size_t> cuts(instances.size() - 1);
    std::iota(cuts.begin(), cuts.end(), 1);
    std::shuffle(cuts.begin(), cuts.end(), random);
    cuts.resize(pipeline.getStages() - 1);
    cuts.push_back(0);
    llvm::sort(cuts);
    Builder b(&context);
    auto first = llvm::map_to_vector(cuts, [&](size_t cut) -> Attribute { return b.getStringAttr(instances[cut]); });
    llvm::Expected<schedules::Table> table = schedules::generate(
        *pipeline.schedule, {int32_t(pipeline.ranks), int32_t(pipeline.stagesPerRank), int32_t(pipeline.getMicrobatches()), {}});
    ASSERT_TRUE(static_cast<bool>(table));
    auto mesh = module->getAttrOfType<graph::MeshAttr>(graph::kMeshAttr);
    SmallVector<int64_t> sizes(mesh.getSizes());
    for (auto [name, size] : llvm::zip_equal(mesh.getNames(), sizes))
      if (name.getValue() == "pp")
        size = pipeline.ranks;
    module->setAttr(graph::kMeshAttr, graph::MeshAttr::get(&context, mesh.getNames(), sizes));
    module->setAttr(stages::kPipelineAttr, b.getDictionaryAttr({b.getNamedAttr("stages", b.getArrayAttr(first)),
                                                                b.getNamedAttr("table", b.getStringAttr(toCsv(*table)))}));
  }

  StepResult runPipeline(const Model &model, const Pipeline &pipeline, int64_t layers, const Variant &variant,
                         std::mt19937 &random) {
    StepResult step;
    const Mesh &mesh = pipeline.mesh;
    OwningOpRef<ModuleOp> module = build(model, mesh, variant);
    if (!module)
      return step;
    setPipeline(*module, pipeline, layers, random);
    if (failed(runPhases(*module, *findPhase("model"), *findPhase("placed"))) || failed(verify(*module))) {
      ADD_FAILURE() << messages;
      return step;
    }
    EXPECT_FALSE(module->lookupSymbol("train_step"));
    StagedInterpreter interpreter(*module);
    FailureOr<Plan> plan = Plan::get(*module);
    FailureOr<StepResult> result = failed(interpreter.initializeVariables(/*seed=*/3)) ? FailureOr<StepResult>(failure())
                                                                                        : runStep(interpreter, *module, *plan, mesh);
    EXPECT_TRUE(succeeded(result)) << messages;
    return succeeded(result) ? *result : step;
  }
};

std::vector<Pipeline> generatePipelines(const Model &model) {
  std::vector<Pipeline> pipelines;
  for (const schedules::Schedule &schedule : schedules::getSchedules())
    for (int64_t ranks : {2, 3, 4, 8})
      for (int64_t stagesPerRank = schedule.leastStagesPerRank; stagesPerRank <= std::min(schedule.mostStagesPerRank, 2); ++stagesPerRank)
        for (int64_t micro : {1, 2, 4, 8})
          for (Mesh mesh : {Mesh{}, Mesh{2}, Mesh{1, 2, 1, 1, false, 1}, Mesh{1, 2, 1, 1, false, 2}, Mesh{1, 2, 1, 1, false, 3},
                            Mesh{1, 1, 2, 1}, Mesh{1, 1, 1, 2}, Mesh{1, 1, 1, 2, true}, Mesh{1, 2, 1, 2, true, 3}}) {
            if (ranks * mesh.getRanks() <= 8 && model.heads % mesh.tensor == 0 && micro * mesh.getDataRanks() <= kSequences)
              pipelines.push_back({&schedule, ranks, stagesPerRank, micro, mesh});
          }
  return pipelines;
}

class StageDifferentialOfModel : public StageDifferential, public ::testing::WithParamInterface<Model> {};

TEST_P(StageDifferentialOfModel, AgreesWithOneRank) {
  std::mt19937 random(5);
  std::vector<Pipeline> pipelines = generatePipelines(GetParam());
  ASSERT_GT(pipelines.size(), 150u);
  std::shuffle(pipelines.begin(), pipelines.end(), random);
  if (!std::getenv("PRIMUS_TEST_ALL_LAYOUTS"))
    pipelines.resize(12);
  std::map<std::string, StepResult> expected;
  for (auto [index, pipeline] : llvm::enumerate(pipelines)) {
    Variant variant = {index % 2 ? "BF16" : "F32", index % 3 ? Recompute::None : Recompute::Full};
    variant.micro = pipeline.micro;
    // In exact mode 8-bit products are none.
    constexpr const char *recipes[] = {"delayed", "rowwise", "", "mxfp8", "tensorwise", "blockwise"};
    if (index % 2)
      variant.fp8 = recipes[index / 2 % 6];
    SCOPED_TRACE(pipeline.describe() + " " + variant.precision + " " + variant.fp8);
    int64_t layers = std::max<int64_t>(2, pipeline.getStages() - 1 + index % 2);
    std::string text = withLayers(GetParam(), layers);
    Model model = {GetParam().name, text.c_str(), GetParam().heads};
    std::string key = variant.precision + std::to_string(layers);
    if (!expected.count(key))
      expected[key] = run(model, {}, "train", {variant.precision});
    auto [error, where] = compare(runPipeline(model, pipeline, layers, variant, random), expected[key]);
    ASSERT_LT(error, 1e-9) << where;
    messages.clear();
  }
}

INSTANTIATE_TEST_SUITE_P(Stages, StageDifferentialOfModel, ::testing::ValuesIn(kModels),
                         [](const auto &info) { return std::string(info.param.name); });

} // namespace

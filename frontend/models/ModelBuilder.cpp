//===- ModelBuilder.cpp - From a TrainingSpec to the model phase ----------===//

#include "frontend/models/ModelBuilder.h"

#include "frontend/models/Stages.h"

#include "frontend/models/Blocks.h"
#include "passes/Plan.h"

#include "mlir/IR/Diagnostics.h"

#include <google/protobuf/text_format.h>

#include <cmath>

using namespace mlir;
using namespace primus;
using namespace primus::models;

/// The initial values of every matrix: as the model says, or from its two standard deviations.
static spec::Initialization getInitialization(const spec::Model &model) {
  if (model.has_initialization())
    return model.initialization();
  spec::Initialization init;
  for (spec::WeightInit *part : {init.mutable_embedding(), init.mutable_query(), init.mutable_key_value(),
                                 init.mutable_gate(), init.mutable_up(), init.mutable_head()})
    part->set_std(model.init_std());
  init.mutable_attention_output()->set_std(model.output_init_std());
  init.mutable_down()->set_std(model.output_init_std());
  return init;
}

/// Ranks with sequences of their own.
static int64_t countDataRanks(const spec::Parallelism &parallel) {
  return std::max<int64_t>(parallel.replicate(), 1) * std::max<int64_t>(parallel.shard(), 1);
}

namespace {

/// A layer's functions and the arguments that its calls need.
struct LayerKind {
  func::FuncOp forward;
  /// Master parameters -> compute copies; null in pure fp32.
  func::FuncOp unshard;
  std::vector<LayerArgument> arguments;
};

class ModelBuilder {
public:
  ModelBuilder(const spec::TrainingSpec &spec, MLIRContext *context, const ModelPrograms &programs)
      : spec(spec), model(spec.model()), programs(programs), context(context), builder(context) {
    const spec::Training &training = spec.training();
    dims = {training.micro_batch_size() * countDataRanks(spec.parallelism()), training.sequence_length(), model.width(),
            std::max<int64_t>(spec.parallelism().context(), 1), getInitialization(model)};
    computeType = training.precision() == spec::BF16  ? FloatType(builder.getBF16Type())
                  : training.precision() == spec::F16 ? FloatType(builder.getF16Type())
                                                      : FloatType(builder.getF32Type());
  }

  FailureOr<OwningOpRef<ModuleOp>> build();

private:
  void setAttributes();
  LayerKind finishKind(LayerFunction &function, ArrayRef<LayerResult> results);
  /// Ends a layer that gives the residual stream.
  LayerKind finishStream(LayerFunction &function, Value stream) {
    return finishKind(function, {{stream, "", builder.getStrArrayAttr(kStreamDims)}});
  }
  func::FuncOp buildUnshard(StringRef layer, const LayerKind &kind);
  /// The parts of the last layer: the loss, and the logits of one position of the first sequence or of all.
  enum class HeadPart { Loss, SampleLogits, AllLogits };
  LayerKind buildHead(HeadPart part);
  void buildForward();
  void buildSample();
  void buildLogits();
  struct ProgramInput {
    StringRef name;
    Type type;
    LogicalDims dims;
  };
  func::FuncOp startProgram(StringRef name, ArrayRef<ProgramInput> inputs);
  void finishProgram(func::FuncOp program, ValueRange results, ArrayRef<StringRef> names);
  void declareVariables(const LayerKind &kind, StringRef instance);
  ValueRange call(const LayerKind &kind, StringRef instance, ValueRange activations);
  Value runTrunk(Value tokens);

  RankedTensorType tokensType() { return RankedTensorType::get({dims.batch, dims.tokens}, builder.getI32Type()); }
  RankedTensorType activationType() { return RankedTensorType::get({dims.batch, dims.tokens, dims.width}, computeType); }

  const spec::TrainingSpec &spec;
  const spec::Model &model;
  const ModelPrograms &programs;
  MLIRContext *context;
  OpBuilder builder;
  Dimensions dims;
  FloatType computeType;
  ModuleOp module;
  LayerKind embedding, head;
  /// Per layer of the model: its kind.
  std::vector<unsigned> layers;
  std::vector<LayerKind> kinds;
  /// Compute copies of the parameters in the program that is being built.
  std::map<std::string, Value> computeCopies;
  int64_t nextStream = 0;
};

} // namespace

void ModelBuilder::setAttributes() {
  const spec::Training &training = spec.training();
  const spec::Parallelism &parallel = spec.parallelism();
  SmallVector<StringAttr> names;
  SmallVector<int64_t> sizes;
  for (auto [name, size] : {std::pair<StringRef, int64_t>{"pp", parallel.pipeline()},
                            {"dp", parallel.replicate()},
                            {"fsdp", parallel.shard()},
                            {"ep", parallel.expert()},
                            {"cp", parallel.context()},
                            {"tp", parallel.tensor()}}) {
    names.push_back(builder.getStringAttr(name));
    sizes.push_back(std::max<int64_t>(size, 1));
  }
  module->setAttr(graph::kMeshAttr, graph::MeshAttr::get(context, names, sizes));

  Plan plan;
  plan.goal = programs.goal;
  plan.microBatchSize = dims.batch;
  plan.sequenceLength = training.sequence_length();
  plan.microbatches = training.global_batch_size() / dims.batch;
  plan.recompute = training.recompute() == spec::RECOMPUTE_FULL        ? Recompute::Full
                   : training.recompute() == spec::RECOMPUTE_SELECTIVE ? Recompute::Selective
                                                                       : Recompute::None;
  plan.recomputeLayers = training.recompute_layers();
  plan.perMicrobatchMean = training.per_microbatch_mean();
  plan.clip = spec.optimizer().clip();
  // Ranks of fsdp and cp hold the same parameters; alone there is nothing to share.
  plan.zero = std::max<int64_t>(parallel.shard(), 1) * dims.contextRanks > 1 ? parallel.zero_stage() : 0;
  plan.sequenceParallel = parallel.sequence_parallel() && parallel.tensor() > 1;
  plan.ring = parallel.context_exchange() == spec::RING && dims.contextRanks > 1;
  plan.beta1 = spec.optimizer().beta1();
  plan.beta2 = spec.optimizer().beta2();
  plan.epsilon = spec.optimizer().epsilon();
  plan.weightDecay = spec.optimizer().weight_decay();
  plan.bf16FirstMoment = spec.optimizer().first_moment() == spec::BF16;
  plan.bf16SecondMoment = spec.optimizer().second_moment() == spec::BF16;
  plan.set(module);

  // The spec travels with the module so that a dumped phase says where it came from; sources hold paths and stay behind.
  spec::TrainingSpec embedded = spec;
  embedded.clear_sources();
  std::string text;
  google::protobuf::TextFormat::PrintToString(embedded, &text);
  module->setAttr("primus.spec", builder.getStringAttr(text));
}

LayerKind ModelBuilder::finishKind(LayerFunction &function, ArrayRef<LayerResult> results) {
  LayerKind kind;
  kind.forward = function.finish(results);
  kind.arguments.assign(function.getArguments().begin(), function.getArguments().end());
  return kind;
}

/// The function that makes compute copies of a layer's own parameters; null where they are used as they are.
func::FuncOp ModelBuilder::buildUnshard(StringRef layer, const LayerKind &kind) {
  if (computeType.isF32())
    return {};
  LayerFunction unshard(module, layer, "unshard", builder.getF32Type());
  SmallVector<LayerResult> copies;
  for (const LayerArgument &argument : kind.arguments)
    if (argument.kind == LayerArgument::Parameter && !argument.info.isShared()) {
      const VariableInfo &info = argument.info;
      auto dims = llvm::to_vector(info.dims.getAsValueRange<StringAttr>());
      Value master = unshard.parameter(info.name, info.type.getShape(), dims, info.init, info.decay);
      Value copy = graph::ConvertOp::create(unshard.builder, unshard.loc(info.name),
                                            unshard.tensor(info.type.getShape(), computeType), master);
      copies.push_back({copy, "", info.dims});
    }
  if (!copies.empty())
    return unshard.finish(copies);
  unshard.getFunction().erase();
  return {};
}

LayerKind ModelBuilder::buildHead(HeadPart part) {
  const spec::Head &spec = model.head();
  int64_t rows = model.embedding().padded_vocabulary(), tokens = dims.batch * dims.tokens;
  bool loss = part == HeadPart::Loss, sample = part == HeadPart::SampleLogits;
  LayerFunction f(module, "head", loss ? "forward" : sample ? "logits" : "all_logits", computeType);
  Value x = f.activation("x", activationType(), kStreamDims), labels, position;
  if (loss)
    labels = f.activation("labels", tokensType(), kTokenDims);
  if (sample)
    position = f.activation("position", RankedTensorType::get({1}, builder.getI32Type()), {""});
  auto f32 = [&](ArrayRef<int64_t> shape) { return f.tensor(shape, builder.getF32Type()); };

  if (!loss)
    x = graph::ReshapeOp::create(f.builder, f.loc("x.flat"), f.tensor({tokens, dims.width}), x);
  if (sample)
    x = graph::GatherOp::create(f.builder, f.loc("x.row"), f.tensor({1, dims.width}), x, position);
  x = buildScale(f, buildNorm(f, x, spec.norm(), "norm"), spec.logit_scale());
  Value weight = f.matrix(spec.tied() ? "@embedding.weight" : "weight", {rows, dims.width}, {"vocabulary", ""},
                          dims.init.head());
  if (!loss) {
    RankedTensorType type = f32({sample ? 1 : tokens, rows});
    Value y = graph::MatmulOp::create(f.builder, f.loc("logits"), type, "nd,vd->nv", x, weight);
    return finishKind(f, {{y, "logits", builder.getStrArrayAttr({"", ""})}});
  }
  // Where each data rank's mean counts alike, sums are kept apart.
  const spec::Training &training = this->spec.training();
  SmallVector<int64_t> groups;
  if (int64_t ranks = dims.batch / training.micro_batch_size(); training.per_microbatch_mean() && ranks > 1)
    groups = {ranks};
  auto op = graph::CrossEntropyOp::create(f.builder, f.loc("loss"), f32(groups), f32(groups), f32({dims.batch, dims.tokens}), x, weight,
                                          labels, builder.getI64IntegerAttr(model.embedding().vocabulary()));
  // Partial sums until the program's end: one reduction does for all microbatches.
  return finishKind(f, {{op.getLoss(), "loss_sum", {}}, {op.getValid(), "valid_tokens", {}}});
}

/// `init` with its standard deviation divided by sqrt(2 (i + 1)), in the instance "layers.<i>".
static graph::InitAttr scaleByDepth(graph::InitAttr init, StringRef instance) {
  unsigned layer = 0;
  instance.rsplit('.').second.getAsInteger(10, layer);
  NamedAttrList params(init.getParams());
  double std = cast<FloatAttr>(params.get("std")).getValueAsDouble() / std::sqrt(2.0 * (layer + 1));
  params.set("std", FloatAttr::get(Float64Type::get(init.getContext()), std));
  return graph::InitAttr::get(init.getContext(), init.getKind(), params.getDictionary(init.getContext()));
}

void ModelBuilder::declareVariables(const LayerKind &kind, StringRef instance) {
  OpBuilder::InsertionGuard guard(builder);
  for (const LayerArgument &argument : kind.arguments) {
    if (argument.kind == LayerArgument::Activation)
      continue;
    std::string name = argument.info.variableName(instance);
    if (module.lookupSymbol(name))
      continue;
    bool parameter = argument.kind == LayerArgument::Parameter;
    bool decay = argument.info.decay || (parameter && spec.optimizer().decay_all());
    builder.setInsertionPoint(embedding.forward);
    graph::VariableOp::create(
        builder, NameLoc::get(builder.getStringAttr(name)), builder.getStringAttr(name), TypeAttr::get(argument.info.type),
        graph::RoleAttr::get(context, parameter ? graph::Role::Parameter : graph::Role::Constant),
        argument.info.initByDepth ? scaleByDepth(argument.info.init, instance) : argument.info.init,
        builder.getI64IntegerAttr(parameter ? nextStream++ : 0), decay ? builder.getUnitAttr() : UnitAttr(),
        argument.info.dims);
  }
}

/// Calls a layer's forward function; its compute copies are made at the first use in a program.
ValueRange ModelBuilder::call(const LayerKind &kind, StringRef instance, ValueRange activations) {
  Location loc = NameLoc::get(builder.getStringAttr(instance));
  auto load = [&](const VariableInfo &info) -> Value {
    std::string name = info.variableName(instance);
    return graph::LoadOp::create(builder, NameLoc::get(builder.getStringAttr(name)), info.type,
                                 FlatSymbolRefAttr::get(context, name));
  };
  auto isOwn = [](const LayerArgument &argument) {
    return argument.kind == LayerArgument::Parameter && !argument.info.isShared();
  };
  if (kind.unshard) {
    SmallVector<Value> masters;
    for (const LayerArgument &argument : llvm::make_filter_range(kind.arguments, isOwn))
      masters.push_back(load(argument.info));
    func::FuncOp unshard = kind.unshard;
    auto copies = graph::CallOp::create(builder, loc, unshard.getResultTypes(), unshard.getName(), masters, instance);
    for (auto [argument, copy] : llvm::zip(llvm::make_filter_range(kind.arguments, isOwn), copies.getResults()))
      computeCopies[argument.info.variableName(instance)] = copy;
  }
  SmallVector<Value> operands(activations);
  for (const LayerArgument &argument : ArrayRef(kind.arguments).drop_front(activations.size())) {
    auto copy = computeCopies.find(argument.info.variableName(instance));
    operands.push_back(copy != computeCopies.end() ? copy->second : load(argument.info));
  }
  func::FuncOp forward = kind.forward;
  return graph::CallOp::create(builder, loc, forward.getResultTypes(), forward.getName(), operands, instance).getResults();
}

/// Embedding and all layers.
Value ModelBuilder::runTrunk(Value tokens) {
  Value x = call(embedding, "embedding", tokens).front();
  for (auto [index, kind] : llvm::enumerate(layers))
    x = call(kinds[kind], "layers." + std::to_string(index), x).front();
  return x;
}

func::FuncOp ModelBuilder::startProgram(StringRef name, ArrayRef<ProgramInput> inputs) {
  builder.setInsertionPointToEnd(module.getBody());
  SmallVector<Type> types = llvm::map_to_vector(inputs, [](const ProgramInput &input) { return input.type; });
  auto program = func::FuncOp::create(builder, NameLoc::get(builder.getStringAttr(name)), name, builder.getFunctionType(types, {}));
  Block &body = program.getBody().emplaceBlock();
  for (auto [index, input] : llvm::enumerate(inputs)) {
    body.addArgument(input.type, NameLoc::get(builder.getStringAttr(input.name)));
    program.setArgAttr(index, "graph.name", builder.getStringAttr(input.name));
    program.setArgAttr(index, graph::kDimsAttr, builder.getStrArrayAttr(input.dims));
  }
  builder.setInsertionPointToStart(&body);
  computeCopies.clear();
  return program;
}

/// Ends a program with results that every rank has whole.
void ModelBuilder::finishProgram(func::FuncOp program, ValueRange results, ArrayRef<StringRef> names) {
  func::ReturnOp::create(builder, program.getLoc(), results);
  program.setFunctionType(builder.getFunctionType(program.getArgumentTypes(), results.getTypes()));
  for (auto [index, name, type] : llvm::enumerate(names, results.getTypes())) {
    program.setResultAttr(index, "graph.name", builder.getStringAttr(name));
    SmallVector<StringRef> whole(cast<RankedTensorType>(type).getRank());
    program.setResultAttr(index, graph::kDimsAttr, builder.getStrArrayAttr(whole));
  }
}

void ModelBuilder::buildForward() {
  func::FuncOp forward = startProgram("forward", {{"tokens", tokensType(), kTokenDims}, {"labels", tokensType(), kTokenDims}});
  Value x = runTrunk(forward.getArgument(0));
  finishProgram(forward, call(head, "head", {x, forward.getArgument(1)}), {"loss_sum", "valid_tokens"});
}

void ModelBuilder::buildSample() {
  LayerKind logits = buildHead(HeadPart::SampleLogits);
  logits.unshard = head.unshard;
  Type positionType = RankedTensorType::get({1}, builder.getI32Type());
  func::FuncOp sample = startProgram("sample", {{"tokens", tokensType(), kTokenDims}, {"position", positionType, {""}}});
  Value x = runTrunk(sample.getArgument(0));
  finishProgram(sample, call(logits, "head", {x, sample.getArgument(1)}), {"logits"});
}

void ModelBuilder::buildLogits() {
  LayerKind logits = buildHead(HeadPart::AllLogits);
  logits.unshard = head.unshard;
  func::FuncOp program = startProgram("logits", {{"tokens", tokensType(), kTokenDims}});
  finishProgram(program, call(logits, "head", runTrunk(program.getArgument(0))), {"logits"});
}

FailureOr<OwningOpRef<ModuleOp>> ModelBuilder::build() {
  std::string name = model.name().empty() ? "model" : model.name();
  module = ModuleOp::create(builder, NameLoc::get(builder.getStringAttr(name)), name);
  OwningOpRef<ModuleOp> owner(module);
  if (model.head().logit_softcap() != 0)
    return emitError(module.getLoc(), "a softcap on the final logits is not supported by the loss yet; remove it from the model");
  setAttributes();
  if (spec.parallelism().pipeline() > 1 && failed(setPipeline(module, spec, Plan::get(module)->microbatches)))
    return failure();

  {
    LayerFunction f(module, "embedding", "forward", computeType);
    Value tokens = f.activation("tokens", tokensType(), kTokenDims);
    embedding = finishStream(f, buildEmbedding(f, tokens, model.embedding(), dims));
    embedding.unshard = buildUnshard("embedding", embedding);
  }
  // Layers that differ, in precision too, have functions of their own.
  std::map<std::string, unsigned> known;
  for (const spec::LayerGroup &group : model.layers()) {
    std::string description = group.layer().SerializeAsString();
    for (int64_t layer = 0; layer < group.count(); ++layer) {
      Fp8Linears fp8 = getFp8Linears(spec.training().fp8(), layers.size(), context);
      std::string key = description;
      for (const auto &linear : fp8)
        key += " " + linear.first;
      auto [entry, isNew] = known.try_emplace(key, kinds.size());
      layers.push_back(entry->second);
      if (!isNew)
        continue;
      std::string kindName = kinds.empty() ? "block" : "block_" + std::to_string(kinds.size());
      LayerFunction f(module, kindName, "forward", computeType);
      f.fp8 = std::move(fp8);
      Value x = f.activation("x", activationType(), kStreamDims);
      kinds.push_back(finishStream(f, buildLayer(f, x, group.layer(), dims)));
      kinds.back().unshard = buildUnshard(kindName, kinds.back());
    }
  }
  head = buildHead(HeadPart::Loss);
  head.unshard = buildUnshard("head", head);

  declareVariables(embedding, "embedding");
  for (auto [index, kind] : llvm::enumerate(layers))
    declareVariables(kinds[kind], "layers." + std::to_string(index));
  declareVariables(head, "head");

  buildForward();
  if (programs.sample)
    buildSample();
  if (programs.logits)
    buildLogits();
  return owner;
}

FailureOr<OwningOpRef<ModuleOp>> models::buildModel(const spec::TrainingSpec &spec, MLIRContext *context,
                                                    const ModelPrograms &programs) {
  return ModelBuilder(spec, context, programs).build();
}

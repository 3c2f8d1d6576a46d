//===- TinyExecutable.cpp - Executables made by hand ----------------------===//

#include "tests/runtime/TinyExecutable.h"

#include "runtime/executable/ExecutableFile.h"
#include "runtime/executable/Mesh.h"
#include "runtime/executable/Types.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

using namespace primus;
using namespace primus::test;

ExecutableBuilder::ExecutableBuilder(const std::string &target) {
  result.set_format_version(runtime::executableFormatVersion);
  result.set_target(target);
  result.set_world_size(1);
}

int ExecutableBuilder::addKernel(const std::string &symbol, Shape grid,
                                 const std::vector<executable::TensorType> &types) {
  executable::Kernel &kernel = *result.add_kernels();
  kernel.set_name(symbol);
  kernel.set_symbol(symbol);
  for (int64_t size : grid)
    kernel.add_grid(size);
  for (const executable::TensorType &type : types) {
    *kernel.add_arguments()->mutable_type() = type;
    kernel.mutable_arguments()->rbegin()->set_access("rw");
  }
  if (result.target() != "cpu")
    for (int64_t size : {64, 1, 1})
      kernel.add_block(size);
  return result.kernels_size() - 1;
}

executable::Program &ExecutableBuilder::addProgram(const std::string &name) {
  executable::Program &program = *result.add_programs();
  program.set_name(name);
  return program;
}

executable::Function &ExecutableBuilder::addFunction(const std::string &name, int numArguments, int64_t scratchBytes) {
  executable::Function &function = *result.add_functions();
  function.set_name(name);
  function.set_num_arguments(numArguments);
  function.set_scratch_bytes(scratchBytes);
  return function;
}

int64_t ExecutableBuilder::allocate(int64_t bytes) {
  int64_t offset = arena;
  arena += (bytes + runtime::arenaAlignment - 1) / runtime::arenaAlignment * runtime::arenaAlignment;
  return offset;
}

int64_t ExecutableBuilder::addVariable(const std::string &name, Shape shape, const std::string &kind, double value) {
  executable::Variable &variable = *result.add_variables();
  variable.set_name(name);
  variable.set_role("parameter");
  *variable.mutable_type() = makeType(executable::F32, std::move(shape));
  variable.mutable_initializer()->set_kind(kind);
  if (kind == "constant")
    (*variable.mutable_initializer()->mutable_parameters())["value"] = value;
  variable.set_offset(allocate(*runtime::getByteSize(variable.type())));
  return variable.offset();
}

static int64_t fillPort(ExecutableBuilder &builder, executable::Port &port, const std::string &name,
                        executable::DataType type, std::vector<int64_t> shape) {
  port.set_name(name);
  *port.mutable_type() = makeType(type, std::move(shape));
  port.set_offset(builder.allocate(*runtime::getByteSize(port.type())));
  return port.offset();
}

int64_t ExecutableBuilder::addInput(executable::Program &program, const std::string &name, executable::DataType type,
                                    Shape shape) {
  return fillPort(*this, *program.add_inputs(), name, type, std::move(shape));
}

int64_t ExecutableBuilder::addOutput(executable::Program &program, const std::string &name, executable::DataType type,
                                     Shape shape) {
  return fillPort(*this, *program.add_outputs(), name, type, std::move(shape));
}

executable::Executable &ExecutableBuilder::finish() {
  result.mutable_memory()->set_arena(arena);
  result.mutable_memory()->set_activations(arena);
  if (result.target() == "cpu")
    result.set_code(readFile(PRIMUS_TEST_KERNELS));
  else
    result.add_code_objects(readFile(PRIMUS_TEST_GPU_KERNELS + result.target()));
  return result;
}

executable::TensorType test::makeType(executable::DataType type, std::vector<int64_t> shape) {
  executable::TensorType tensor;
  tensor.set_data_type(type);
  tensor.mutable_shape()->Add(shape.begin(), shape.end());
  return tensor;
}

executable::Reference test::inArena(int64_t offset, int64_t stride) {
  executable::Reference reference;
  reference.set_arena(true);
  reference.set_offset(offset);
  reference.set_stride_bytes(stride);
  return reference;
}

executable::Reference test::inArgument(int argument, int64_t offset) {
  executable::Reference reference;
  reference.set_argument(argument);
  reference.set_offset(offset);
  return reference;
}

executable::Reference test::inScratch(int64_t offset) {
  executable::Reference reference;
  reference.set_scratch(true);
  reference.set_offset(offset);
  return reference;
}

void test::addLaunch(google::protobuf::RepeatedPtrField<executable::Action> &actions, int kernel,
                     const std::vector<executable::Reference> &operands) {
  executable::Launch &launch = *actions.Add()->mutable_launch();
  launch.set_kernel(kernel);
  for (const executable::Reference &operand : operands)
    *launch.add_operands() = operand;
}

void test::setMesh(executable::Executable &executable, const std::vector<std::pair<std::string, int64_t>> &axes) {
  int64_t ranks = 1;
  for (const auto &[name, size] : axes) {
    executable.mutable_mesh()->add_names(name);
    executable.mutable_mesh()->add_sizes(size);
    ranks *= size;
  }
  executable.set_world_size(ranks);
}

void test::setLayout(const executable::Executable &executable, const executable::TensorType &type,
                     executable::Layout &layout, const std::vector<std::vector<std::string>> &dims,
                     const std::vector<std::string> &partial) {
  runtime::RankMesh mesh(executable.mesh());
  for (size_t d = 0; d < dims.size(); ++d) {
    auto &names = *layout.add_dims()->mutable_names();
    names.Add(dims[d].begin(), dims[d].end());
    layout.add_global_shape(type.shape(static_cast<int>(d)) * mesh.getGroupSize(names));
  }
  layout.mutable_partial()->Add(partial.begin(), partial.end());
}

executable::Collective &test::addCollective(google::protobuf::RepeatedPtrField<executable::Action> &actions,
                                            const std::string &kind, const std::vector<std::string> &axes,
                                            int64_t ticket) {
  executable::Collective &collective = *actions.Add()->mutable_collective();
  collective.set_kind(kind);
  collective.mutable_axes()->Add(axes.begin(), axes.end());
  collective.set_data_type(executable::F32);
  if (kind == "all_reduce" || kind == "reduce_scatter")
    collective.set_reduction("sum");
  collective.set_ticket(ticket);
  return collective;
}

executable::Part &test::addPart(executable::Collective &collective, const std::vector<int64_t> &shape,
                                const executable::Reference &source, const executable::Reference &target) {
  executable::Part &part = *collective.add_parts();
  part.mutable_shape()->Add(shape.begin(), shape.end());
  *part.mutable_source() = source;
  *part.mutable_target() = target;
  return part;
}

void test::addWait(google::protobuf::RepeatedPtrField<executable::Action> &actions, int64_t ticket) {
  actions.Add()->mutable_wait()->set_ticket(ticket);
}

void test::addLoopProgram(ExecutableBuilder &builder, const std::string &kernel) {
  executable::TensorType vector = makeType(executable::F32, {24});
  int index = builder.addKernel(kernel, {24}, {vector, vector});
  executable::Function &function = builder.addFunction("quadruple", 2, 128);
  addLaunch(*function.mutable_actions(), index, {inArgument(0), inScratch(0)});
  addLaunch(*function.mutable_actions(), index, {inScratch(0), inArgument(1)});
  builder.addVariable("w", {24}, "ones");
  builder.addVariable("v", {24}, "zeros");
  executable::Program &program = builder.addProgram("main");
  int64_t x = builder.addInput(program, "x", executable::F32, {4, 24});
  int64_t y = builder.addOutput(program, "y", executable::F32, {4, 24});
  executable::Loop &loop = *program.add_actions()->mutable_loop();
  loop.set_count(4);
  executable::Call &call = *loop.add_body()->mutable_call();
  *call.add_arguments() = inArena(x, 96);
  *call.add_arguments() = inArena(y, 96);
  *call.mutable_scratch() = inArena(builder.allocate(128));
  executable::Copy &copy = *program.add_actions()->mutable_copy();
  *copy.mutable_source() = inArena(y);
  *copy.mutable_target() = inArena(x);
  copy.set_bytes(96);
  executable::Fill &fill = *program.add_actions()->mutable_fill();
  *fill.mutable_target() = inArena(y);
  fill.set_bytes(96);
}

void test::addCollectives(ExecutableBuilder &builder) {
  setMesh(builder.result, {{"dp", 2}, {"tp", 2}});
  int64_t whole = builder.addVariable("whole", {8, 6}, "ones");
  executable::Variable &variable = *builder.result.mutable_variables()->rbegin();
  setLayout(builder.result, variable.type(), *variable.mutable_layout(), {{"dp", "tp"}, {}});

  executable::Function &function = builder.addFunction("exchange", 1, 256);
  int index = builder.result.functions_size() - 1;
  addPart(addCollective(*function.mutable_actions(), "all_reduce", {"tp"}, 1), {8, 6}, inArgument(0), inArgument(0));
  addPart(addCollective(*function.mutable_actions(), "block", {"dp"}), {4, 6}, inArgument(0, 96), inScratch(0));
  addWait(*function.mutable_actions(), 1);

  executable::Program &program = builder.addProgram("exchange");
  auto &actions = *program.mutable_actions();
  int64_t input = builder.addInput(program, "input", executable::F32, {4, 6});
  executable::Port &port = *program.mutable_inputs(0);
  setLayout(builder.result, port.type(), *port.mutable_layout(), {{"dp"}, {"tp"}});
  int64_t gathered = builder.allocate(4 * 48 * 4), scattered = builder.allocate(4 * 48 * 4);
  executable::Collective &gather = addCollective(actions, "all_gather", {"tp"}, 1);
  addPart(gather, {4, 6}, inArena(input), inArena(gathered)).set_dim(1);
  addPart(gather, {2}, inArena(input), inArena(gathered + 192));
  executable::Loop &loop = *actions.Add()->mutable_loop();
  loop.set_count(2);
  executable::Collective &scatter = addCollective(*loop.mutable_body(), "reduce_scatter", {"dp", "tp"}, 2);
  scatter.set_reduction("max");
  addPart(scatter, {8, 6}, inArena(whole), inArena(scattered, 48));
  executable::Call &call = *loop.add_body()->mutable_call();
  call.set_function(index);
  *call.add_arguments() = inArena(whole);
  *call.mutable_scratch() = inArena(builder.allocate(256));
  addWait(*loop.mutable_body(), 2);
  addWait(actions, 1);
  executable::Part &part = addPart(addCollective(actions, "all_to_all", {"tp"}), {4, 6}, inArena(input), inArena(gathered));
  part.set_dim(0);
  part.set_second_dim(1);
  executable::Collective &permute = addCollective(actions, "permute", {"dp"});
  permute.set_shift(1);
  addPart(permute, {4, 6}, inArena(input), inArena(gathered));
}

static constexpr int64_t vocabulary = 256, batch = 2, length = 32;

/// What the bigram models have in common.
static void fillTraining(executable::Training &training);

executable::Executable test::makeBigramExecutable(const std::string &target) {
  ExecutableBuilder builder(target);
  executable::TensorType scalar = makeType(executable::F32, {});
  executable::TensorType table = makeType(executable::F32, {vocabulary, vocabulary});
  executable::TensorType tokens = makeType(executable::I32, {1, batch, length});
  executable::TensorType evalTokens = makeType(executable::I32, {batch, length});
  int trainKernel = builder.addKernel("test_train_step", {1},
                                      {tokens, tokens, scalar, scalar, scalar, table, scalar, scalar});
  int forwardKernel = builder.addKernel("test_forward", {1}, {evalTokens, evalTokens, table, scalar, scalar});
  int sampleKernel = builder.addKernel("test_sample", {vocabulary},
                                       {evalTokens, makeType(executable::I32, {1}), table,
                                        makeType(executable::F32, {1, vocabulary})});
  int64_t weights = builder.addVariable("table", {vocabulary, vocabulary}, "zeros");

  executable::Program &train = builder.addProgram("train_step");
  std::vector<executable::Reference> operands = {
      inArena(builder.addInput(train, "tokens", executable::I32, {1, batch, length})),
      inArena(builder.addInput(train, "labels", executable::I32, {1, batch, length})),
      inArena(builder.addInput(train, "learning_rate", executable::F32, {})),
      inArena(builder.addInput(train, "bias_correction1", executable::F32, {})),
      inArena(builder.addInput(train, "bias_correction2", executable::F32, {})),
      inArena(weights),
      inArena(builder.addOutput(train, "loss", executable::F32, {})),
      inArena(builder.addOutput(train, "grad_norm", executable::F32, {}))};
  addLaunch(*train.mutable_actions(), trainKernel, operands);

  executable::Program &forward = builder.addProgram("forward");
  operands = {inArena(builder.addInput(forward, "tokens", executable::I32, {batch, length})),
              inArena(builder.addInput(forward, "labels", executable::I32, {batch, length})), inArena(weights),
              inArena(builder.addOutput(forward, "loss_sum", executable::F32, {})),
              inArena(builder.addOutput(forward, "valid_tokens", executable::F32, {}))};
  addLaunch(*forward.mutable_actions(), forwardKernel, operands);

  executable::Program &sample = builder.addProgram("sample");
  operands = {inArena(builder.addInput(sample, "tokens", executable::I32, {batch, length})),
              inArena(builder.addInput(sample, "position", executable::I32, {1})), inArena(weights),
              inArena(builder.addOutput(sample, "logits", executable::F32, {1, vocabulary}))};
  addLaunch(*sample.mutable_actions(), sampleKernel, operands);

  fillTraining(*builder.result.mutable_training());
  builder.result.set_parameters(vocabulary * vocabulary);
  return builder.finish();
}

executable::Executable test::makeRankedBigramExecutable(int ranks, const std::string &target) {
  ExecutableBuilder builder(target);
  setMesh(builder.result, {{"pp", 1}, {"dp", ranks}});
  executable::TensorType scalar = makeType(executable::F32, {}), index = makeType(executable::I32, {});
  executable::TensorType table = makeType(executable::F32, {vocabulary, vocabulary});
  executable::TensorType tokens = makeType(executable::I32, {batch, length});
  int gradientKernel = builder.addKernel("test_gradient", {1}, {tokens, tokens, table, table, scalar, scalar});
  int faultKernel = builder.addKernel("test_fault", {1}, {index, scalar});
  int updateKernel = builder.addKernel("test_update", {1}, {table, scalar, scalar, scalar, table, scalar, scalar});
  int sampleKernel = builder.addKernel(
      "test_sample", {vocabulary}, {tokens, makeType(executable::I32, {1}), table, makeType(executable::F32, {1, vocabulary})});
  int64_t weights = builder.addVariable("table", {vocabulary, vocabulary}, "zeros");
  int64_t steps = builder.addVariable("steps", {}, "zeros");
  int64_t rank = builder.addVariable("axis_index.dp", {}, "axis_index");
  executable::Variable &variable = *builder.result.mutable_variables()->rbegin();
  *variable.mutable_type() = index;
  variable.set_role("constant");
  variable.mutable_initializer()->add_axes("dp");
  int64_t gradient = builder.allocate(vocabulary * vocabulary * 4);

  auto addTokens = [&](executable::Program &program, const char *name, bool hasMicrobatches) {
    ExecutableBuilder::Shape shape = {batch, length};
    std::vector<std::vector<std::string>> dims = {{"dp"}, {}};
    if (hasMicrobatches) {
      shape.insert(shape.begin(), 1);
      dims.insert(dims.begin(), {{}});
    }
    int64_t offset = builder.addInput(program, name, executable::I32, shape);
    executable::Port &port = *program.mutable_inputs()->rbegin();
    setLayout(builder.result, port.type(), *port.mutable_layout(), dims);
    return inArena(offset);
  };
  auto reduceScalars = [&](executable::Program &program, int64_t a, int64_t b) {
    executable::Collective &collective = addCollective(*program.mutable_actions(), "all_reduce", {"dp"});
    addPart(collective, {}, inArena(a), inArena(a));
    addPart(collective, {}, inArena(b), inArena(b));
  };

  executable::Program &train = builder.addProgram("train_step");
  int64_t lossSum = builder.allocate(4), valid = builder.allocate(4);
  std::vector<executable::Reference> operands = {addTokens(train, "tokens", true), addTokens(train, "labels", true)};
  operands.insert(operands.end(), {inArena(weights), inArena(gradient), inArena(lossSum), inArena(valid)});
  addLaunch(*train.mutable_actions(), gradientKernel, operands);
  executable::Collective &reduce = addCollective(*train.mutable_actions(), "all_reduce", {"dp"}, 1);
  addPart(reduce, {vocabulary, vocabulary}, inArena(gradient), inArena(gradient));
  addLaunch(*train.mutable_actions(), faultKernel, {inArena(rank), inArena(steps)});
  reduceScalars(train, lossSum, valid);
  addWait(*train.mutable_actions(), 1);
  operands = {inArena(gradient), inArena(lossSum), inArena(valid),
              inArena(builder.addInput(train, "learning_rate", executable::F32, {})), inArena(weights),
              inArena(builder.addOutput(train, "loss", executable::F32, {})),
              inArena(builder.addOutput(train, "grad_norm", executable::F32, {}))};
  builder.addInput(train, "bias_correction1", executable::F32, {});
  builder.addInput(train, "bias_correction2", executable::F32, {});
  addLaunch(*train.mutable_actions(), updateKernel, operands);

  executable::Program &forward = builder.addProgram("forward");
  operands = {addTokens(forward, "tokens", false), addTokens(forward, "labels", false)};
  lossSum = builder.addOutput(forward, "loss_sum", executable::F32, {});
  valid = builder.addOutput(forward, "valid_tokens", executable::F32, {});
  operands.insert(operands.end(), {inArena(weights), inArena(gradient), inArena(lossSum), inArena(valid)});
  addLaunch(*forward.mutable_actions(), gradientKernel, operands);
  reduceScalars(forward, lossSum, valid);

  // All ranks read the first rank's sequences.
  executable::Program &sample = builder.addProgram("sample");
  int64_t gathered = builder.allocate(ranks * batch * length * 4);
  executable::Reference own = addTokens(sample, "tokens", false);
  executable::Collective &gather = addCollective(*sample.mutable_actions(), "all_gather", {"dp"});
  gather.set_data_type(executable::I32);
  addPart(gather, {batch, length}, own, inArena(gathered));
  operands = {inArena(gathered), inArena(builder.addInput(sample, "position", executable::I32, {1})), inArena(weights),
              inArena(builder.addOutput(sample, "logits", executable::F32, {1, vocabulary}))};
  addLaunch(*sample.mutable_actions(), sampleKernel, operands);

  fillTraining(*builder.result.mutable_training());
  // The gradient is a sum over tokens of the ranks.
  builder.result.mutable_training()->set_learning_rate(0.5 / ranks);
  builder.result.set_parameters(vocabulary * vocabulary);
  return builder.finish();
}

executable::Executable test::makePipelinedBigramExecutable(int ranks) {
  executable::Executable result = makeRankedBigramExecutable(1);
  result.mutable_mesh()->Clear();
  setMesh(result, {{"pp", ranks}, {"dp", 1}});
  result.mutable_training()->set_eval_interval(0);
  result.mutable_training()->set_eval_steps(0);
  result.mutable_training()->set_sample_bytes(0);
  constexpr int64_t bytes = vocabulary * vocabulary * 4;
  int64_t received = result.memory().arena();
  result.mutable_memory()->set_arena(received + bytes);
  result.mutable_memory()->set_activations(result.memory().activations() + bytes);
  for (executable::Variable &variable : *result.mutable_variables())
    if (variable.name() == "axis_index.dp")
      variable.mutable_initializer()->set_axes(0, "pp");
  executable::Program whole = result.programs(0);
  for (int place = 0; place < ranks; ++place) {
    executable::PipelineRank &rank = *result.add_pipeline_ranks();
    *rank.mutable_variables() = result.variables();
    *rank.mutable_memory() = result.memory();
    executable::Program &program = *rank.add_programs();
    program = whole;
    auto &actions = *program.mutable_actions();
    actions.Clear();
    auto addMessage = [&](const char *kind, int peer, int64_t ticket) {
      executable::Collective &message = addCollective(actions, kind, {"pp"}, ticket);
      message.set_peer(peer);
      executable::Part &part = *message.add_parts();
      part.add_shape(vocabulary);
      part.add_shape(vocabulary);
      bool sends = peer > place;
      *(sends ? part.mutable_source() : part.mutable_target()) = sends ? whole.actions(1).collective().parts(0).source() : inArena(received);
    };
    if (place > 0)
      addMessage("receive", place - 1, 2);
    for (const executable::Action &action : whole.actions()) {
      *actions.Add() = action;
      if (action.has_collective() && action.collective().ticket() && place + 1 < ranks)
        addMessage("send", place + 1, 3);
    }
    if (place > 0)
      addWait(actions, 2);
    if (place + 1 < ranks)
      addWait(actions, 3);
  }
  result.clear_programs();
  result.clear_variables();
  result.clear_memory();
  return result;
}

static void fillTraining(executable::Training &training) {
  training.set_train_steps(20);
  training.set_micro_batch_size(batch);
  training.set_microbatches(1);
  training.set_sequence_length(length);
  training.set_vocabulary(vocabulary);
  training.set_seed(1234);
  training.set_learning_rate(0.5);
  training.set_decay_style("constant");
  training.set_adam_beta1(0.9);
  training.set_adam_beta2(0.95);
  training.set_eval_interval(10);
  training.set_eval_steps(4);
  training.set_log_interval(1);
  training.set_data_kind("text");
  training.set_split("90,10,0");
  training.set_sample_bytes(40);
}

std::string test::readFile(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void test::writeFile(const std::string &path, const std::string &bytes) {
  std::ofstream file(path, std::ios::binary);
  file << bytes;
  if (!file.flush())
    throw std::runtime_error("cannot write " + path);
}

TemporaryFolder::TemporaryFolder() {
  std::string pattern = std::filesystem::temp_directory_path() / "primus-test-XXXXXX";
  if (!mkdtemp(pattern.data()))
    throw std::runtime_error("cannot create a temporary folder");
  path = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code code;
  std::filesystem::remove_all(path, code);
}

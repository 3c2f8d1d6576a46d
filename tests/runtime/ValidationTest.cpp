//===- ValidationTest.cpp - Damaged executables are refused ---------------===//

#include "runtime/executable/ExecutableFile.h"
#include "runtime/executable/Types.h"
#include "runtime/executable/Validation.h"
#include "tests/runtime/TinyExecutable.h"

#include <gtest/gtest.h>
#include <functional>

using namespace primus;
using namespace primus::runtime;
using namespace primus::test;
using executable::Executable;

static Executable makeLoopExecutable() {
  ExecutableBuilder builder;
  addLoopProgram(builder, "test_double");
  return builder.finish();
}

static executable::Call &getCall(Executable &executable) {
  return *executable.mutable_programs(0)->mutable_actions(0)->mutable_loop()->mutable_body(0)->mutable_call();
}

static executable::Launch &getLaunch(Executable &executable, int i) {
  return *executable.mutable_functions(0)->mutable_actions(i)->mutable_launch();
}

static Executable makeMeshExecutable() {
  ExecutableBuilder builder;
  addCollectives(builder);
  return builder.finish();
}

/// The loop for a GPU. The code is this machine's under another header.
static Executable makeGpuExecutable() {
  Executable executable = makeLoopExecutable();
  executable.set_target("gfx942");
  std::string code = std::move(*executable.mutable_code());
  executable.clear_code();
  code[18] = '\xe0'; // e_machine: AMDGPU
  code[19] = '\0';
  code[48] = '\x4c'; // e_flags: gfx942
  executable.add_code_objects(std::move(code));
  executable::Kernel &kernel = *executable.mutable_kernels(0);
  for (int64_t size : {256, 1, 1})
    kernel.add_block(size);
  kernel.set_lds_bytes(64 << 10);
  return executable;
}

/// A collective of the program: all_gather, all_to_all and permute are its first and last actions.
static executable::Collective &getCollective(Executable &executable, int action) {
  return *executable.mutable_programs(0)->mutable_actions(action)->mutable_collective();
}

/// The reduce_scatter in the program's loop.
static executable::Collective &getScatter(Executable &executable) {
  return *executable.mutable_programs(0)->mutable_actions(1)->mutable_loop()->mutable_body(0)->mutable_collective();
}

/// Of the variable, which is split over both axes.
static executable::Layout &getLayout(Executable &executable) {
  return *executable.mutable_variables(0)->mutable_layout();
}

TEST(Validation, AcceptsAWholeExecutable) {
  Error error = validateExecutable(makeLoopExecutable());
  EXPECT_FALSE(error) << error.getMessage();
  error = validateExecutable(makeBigramExecutable());
  EXPECT_FALSE(error) << error.getMessage();
  error = validateExecutable(makeMeshExecutable());
  EXPECT_FALSE(error) << error.getMessage();
  error = validateExecutable(makeGpuExecutable());
  EXPECT_FALSE(error) << error.getMessage();
}

namespace {

struct Damage {
  const char *name;
  std::function<void(Executable &)> apply;
  const char *message;
};

class ValidationDamage : public testing::TestWithParam<Damage> {};
class ValidationMeshDamage : public testing::TestWithParam<Damage> {};
class ValidationGpuDamage : public testing::TestWithParam<Damage> {};

} // namespace

static void expectRefusal(Executable executable, const Damage &damage) {
  damage.apply(executable);
  Error error = validateExecutable(executable);
  ASSERT_TRUE(error);
  EXPECT_EQ(error.getKind(), ErrorKind::Failure);
  EXPECT_NE(error.getMessage().find(damage.message), std::string::npos) << error.getMessage();
  EXPECT_EQ(error.getMessage().find('\n'), std::string::npos);
}

TEST_P(ValidationDamage, IsRefused) { expectRefusal(makeLoopExecutable(), GetParam()); }
TEST_P(ValidationMeshDamage, IsRefused) { expectRefusal(makeMeshExecutable(), GetParam()); }
TEST_P(ValidationGpuDamage, IsRefused) { expectRefusal(makeGpuExecutable(), GetParam()); }

static const Damage damages[] = {
    {"FormatVersion", [](Executable &e) { e.set_format_version(99); }, "format version 99"},
    {"Target", [](Executable &e) { e.set_target("gfx906"); }, "compiled for 'gfx906'"},
    {"CpuCodeForGpu", [](Executable &e) { e.set_target("gfx942"); }, "CPU code in an executable for gfx942"},
    {"CodeObject", [](Executable &e) { e.add_code_objects("x"); }, "GPU code in an executable for the CPU"},
    {"UnknownFeature", [](Executable &e) { e.add_cpu_features("flux-capacitor"); }, "does not know"},
    // No processor has both, so that one of them is missing everywhere.
    {"MissingFeature", [](Executable &e) { e.add_cpu_features("fma4"), e.add_cpu_features("avx512bf16"); }, "lacks"},
    {"NegativeArena", [](Executable &e) { e.mutable_memory()->set_arena(-1); }, "memory: an arena"},
    {"PartsDoNotAddUp", [](Executable &e) { e.mutable_memory()->set_inputs(1); }, "the parts add up to"},
    {"NegativePart", [](Executable &e) { e.mutable_memory()->set_inputs(-64); }, "memory: a part"},
    {"SmallArena",
     [](Executable &e) {
       e.mutable_memory()->set_arena(64);
       e.mutable_memory()->set_activations(64);
     },
     "lie outside the arena of 64 bytes"},
    {"NoSymbol", [](Executable &e) { e.mutable_kernels(0)->clear_symbol(); }, "kernels[0] 'test_double': no valid symbol"},
    {"NullInSymbol", [](Executable &e) { e.mutable_kernels(0)->set_symbol(std::string("a\0b", 3)); }, "no valid symbol"},
    {"NegativeGrid", [](Executable &e) { e.mutable_kernels(0)->set_grid(0, -24); }, "grid"},
    {"HugeGrid",
     [](Executable &e) {
       e.mutable_kernels(0)->set_grid(0, INT64_MAX);
       e.mutable_kernels(0)->add_grid(INT64_MAX);
     },
     "grid"},
    {"ArgumentType", [](Executable &e) { e.mutable_kernels(0)->mutable_arguments(1)->mutable_type()->clear_data_type(); },
     "argument 1 has no valid type"},
    {"HugeArgument",
     [](Executable &e) {
       for (int i = 0; i < 8; ++i)
         e.mutable_kernels(0)->mutable_arguments(1)->mutable_type()->add_shape(INT64_MAX);
     },
     "argument 1 has no valid type"},
    {"Access", [](Executable &e) { e.mutable_kernels(0)->mutable_arguments(0)->set_access("x"); }, "access 'x'"},
    {"VariableOutside", [](Executable &e) { e.mutable_variables(1)->set_offset(1 << 20); }, "variables[1] 'v'"},
    {"VariableNegative", [](Executable &e) { e.mutable_variables(1)->set_offset(-64); }, "variables[1] 'v'"},
    {"VariableOverflow", [](Executable &e) { e.mutable_variables(1)->set_offset(INT64_MAX - 63); }, "variables[1] 'v'"},
    {"VariableUnaligned", [](Executable &e) { e.mutable_variables(0)->set_offset(4); }, "not a multiple of 64"},
    {"VariablesOverlap", [](Executable &e) { e.mutable_variables(1)->set_offset(64); }, "'w' and 'v' overlap"},
    {"VariableTwice", [](Executable &e) { e.mutable_variables(1)->set_name("w"); }, "occurs twice"},
    {"VariableRole", [](Executable &e) { e.mutable_variables(1)->set_role("king"); }, "unknown role 'king'"},
    {"PortOutside", [](Executable &e) { e.mutable_programs(0)->mutable_inputs(0)->set_offset(1 << 20); }, "inputs[0] 'x'"},
    {"PortUnaligned", [](Executable &e) { e.mutable_programs(0)->mutable_outputs(0)->set_offset(8); }, "outputs[0] 'y'"},
    {"KernelIndex", [](Executable &e) { getLaunch(e, 0).set_kernel(1); }, "launch of kernel 1 of 1"},
    {"NegativeKernelIndex", [](Executable &e) { getLaunch(e, 0).set_kernel(-1); }, "launch of kernel -1"},
    {"OperandCount", [](Executable &e) { getLaunch(e, 1).mutable_operands()->RemoveLast(); }, "with 1 operands, it takes 2"},
    {"ArgumentIndex", [](Executable &e) { getLaunch(e, 0).mutable_operands(0)->set_argument(2); }, "argument 2 of 2"},
    {"NegativeArgumentIndex", [](Executable &e) { getLaunch(e, 0).mutable_operands(0)->set_argument(-1); }, "argument -1"},
    {"OutsideScratch", [](Executable &e) { getLaunch(e, 0).mutable_operands(1)->set_offset(64); },
     "lie outside the scratch region of 128"},
    {"OutsideArgument", [](Executable &e) { getLaunch(e, 0).mutable_operands(0)->set_offset(1 << 20); },
     "argument 0: "},
    {"UnalignedOperand", [](Executable &e) { getLaunch(e, 0).mutable_operands(0)->set_offset(2); }, "offset 2"},
    {"NegativeOffset", [](Executable &e) { getLaunch(e, 0).mutable_operands(0)->set_offset(-4); }, "offset -4"},
    {"StrideInFunction", [](Executable &e) { getLaunch(e, 0).mutable_operands(0)->set_stride_bytes(4); }, "stride"},
    {"ArenaInFunction", [](Executable &e) { *getLaunch(e, 0).mutable_operands(0) = inArena(0); }, "neither"},
    {"NegativeScratch", [](Executable &e) { e.mutable_functions(0)->set_scratch_bytes(-1); }, "bytes of scratch"},
    {"NegativeArguments", [](Executable &e) { e.mutable_functions(0)->set_num_arguments(-1); }, "has -1 arguments"},
    {"LoopInFunction", [](Executable &e) { e.mutable_functions(0)->mutable_actions(0)->mutable_loop()->set_count(1); },
     "not allowed here"},
    {"EmptyAction", [](Executable &e) { e.mutable_functions(0)->mutable_actions(0)->clear_action(); }, "not allowed here"},
    {"FunctionIndex", [](Executable &e) { getCall(e).set_function(7); }, "call of function 7 of 1"},
    {"CallArguments", [](Executable &e) { getCall(e).mutable_arguments()->RemoveLast(); }, "1 arguments, it takes 2"},
    {"CallOutside", [](Executable &e) { getCall(e).mutable_arguments(1)->set_stride_bytes(960); }, "argument 1: "},
    {"StrideOverflow", [](Executable &e) { getCall(e).mutable_arguments(1)->set_stride_bytes(INT64_MAX / 2); },
     "argument 1: "},
    {"NegativeStride", [](Executable &e) { getCall(e).mutable_arguments(1)->set_stride_bytes(-96); }, "argument 1: "},
    {"CallScratchUnaligned", [](Executable &e) { getCall(e).mutable_scratch()->set_offset(4); }, "scratch: "},
    {"CallWithoutScratch", [](Executable &e) { getCall(e).clear_scratch(); }, "scratch: "},
    {"ArgumentInProgram", [](Executable &e) { *getCall(e).mutable_arguments(0) = inArgument(0); }, "not to the arena"},
    {"EmptyLoop", [](Executable &e) { e.mutable_programs(0)->mutable_actions(0)->mutable_loop()->set_count(0); },
     "a loop of 0 iterations"},
    {"EndlessLoop",
     [](Executable &e) {
       e.mutable_programs(0)->mutable_actions(0)->mutable_loop()->set_count(1 << 22);
       for (auto &argument : *getCall(e).mutable_arguments())
         argument.set_stride_bytes(0);
     },
     "longer than"},
    {"NestedLoop",
     [](Executable &e) {
       e.mutable_programs(0)->mutable_actions(0)->mutable_loop()->mutable_body(0)->mutable_loop()->set_count(2);
     },
     "a loop inside a loop"},
    {"CopyOutside", [](Executable &e) { e.mutable_programs(0)->mutable_actions(1)->mutable_copy()->set_bytes(1 << 20); },
     "actions[1]: copy, source: "},
    {"NegativeCopy", [](Executable &e) { e.mutable_programs(0)->mutable_actions(1)->mutable_copy()->set_bytes(-1); },
     "copy of -1 bytes"},
    {"FillOutside", [](Executable &e) { e.mutable_programs(0)->mutable_actions(2)->mutable_fill()->set_bytes(1 << 20); },
     "actions[2]: fill, target: "},
    {"TruncatedCode",
     [](Executable &e) { e.mutable_code()->resize(e.code().size() / 2); },
     "of the code lies outside it"},
    {"NoCode", [](Executable &e) { e.clear_code(); }, "too short"},
    {"OtherArchitecture", [](Executable &e) { (*e.mutable_code())[18] = '\x28'; }, "another processor architecture"},
};

INSTANTIATE_TEST_SUITE_P(All, ValidationDamage, testing::ValuesIn(damages),
                         [](const auto &info) { return std::string(info.param.name); });

static const Damage gpuDamages[] = {
    {"CodeObjectIndex", [](Executable &e) { e.mutable_kernels(0)->set_code_object(1); }, "kernels[0] 'test_double': code object 1 of 1"},
    {"NegativeIndex", [](Executable &e) { e.mutable_kernels(0)->set_code_object(-1); }, "code object -1 of 1"},
    {"NoBlock", [](Executable &e) { e.mutable_kernels(0)->clear_block(); }, "a block of  is not 1 to 16 waves"},
    {"HalfAWave", [](Executable &e) { e.mutable_kernels(0)->set_block(0, 96); }, "a block of 96 x 1 x 1"},
    {"LargeBlock", [](Executable &e) { e.mutable_kernels(0)->set_block(0, 2048); }, "a block of 2048 x 1 x 1"},
    {"DeepBlock", [](Executable &e) { e.mutable_kernels(0)->set_block(2, 2); }, "a block of 256 x 1 x 2"},
    {"LargeGrid", [](Executable &e) { e.mutable_kernels(0)->set_grid(0, 1 << 24); }, "the grid is too large"},
    {"LargeLds", [](Executable &e) { e.mutable_kernels(0)->set_lds_bytes(65 << 10); }, "66560 bytes of LDS, gfx942 has 65536"},
    {"NegativeLds", [](Executable &e) { e.mutable_kernels(0)->set_lds_bytes(-1); }, "-1 bytes of LDS"},
    {"OtherGpu", [](Executable &e) { e.set_target("gfx950"); }, "code_objects[0]: the code is not for gfx950"},
    {"TruncatedCode",
     [](Executable &e) { e.mutable_code_objects(0)->resize(e.code_objects(0).size() / 2); },
     "code_objects[0]: segment"},
};

INSTANTIATE_TEST_SUITE_P(All, ValidationGpuDamage, testing::ValuesIn(gpuDamages),
                         [](const auto &info) { return std::string(info.param.name); });

static const Damage meshDamages[] = {
    {"Names", [](Executable &e) { e.mutable_mesh()->add_names("cp"); }, "mesh: 3 names for 2 sizes"},
    {"AxisTwice", [](Executable &e) { e.mutable_mesh()->set_names(1, "dp"); }, "mesh: axis 1 has no name"},
    {"AxisWithoutName", [](Executable &e) { e.mutable_mesh()->clear_names(), e.mutable_mesh()->clear_sizes();
       e.mutable_mesh()->add_names(""), e.mutable_mesh()->add_sizes(4); }, "mesh: axis 0 has no name"},
    {"AxisSize", [](Executable &e) { e.mutable_mesh()->set_sizes(0, 0); }, "the axis 'dp' has the size 0"},
    {"HugeMesh", [](Executable &e) { e.mutable_mesh()->set_sizes(0, INT64_MAX); }, "the axis 'dp' has the size"},
    {"HugeProduct", [](Executable &e) { e.mutable_mesh()->set_sizes(0, 1 << 24); }, "the axis 'tp' has the size"},
    {"WorldSize", [](Executable &e) { e.set_world_size(3); }, "mesh: 4 ranks, the world size is 3"},
    {"NoMesh", [](Executable &e) { e.clear_mesh(); }, "mesh: 1 ranks, the world size is 4"},
    {"LayoutRank", [](Executable &e) { getLayout(e).add_global_shape(2); }, "a shape of 3 dimensions and axes for 2"},
    {"LayoutDims", [](Executable &e) { getLayout(e).mutable_dims()->RemoveLast(); }, "a shape of 2 dimensions and axes for 1"},
    {"LayoutShape", [](Executable &e) { getLayout(e).set_global_shape(0, -8); }, "no valid global shape"},
    {"LayoutIndivisible", [](Executable &e) { getLayout(e).set_global_shape(0, 33); }, "33 elements on 4 ranks are not 8 on each"},
    {"LayoutOtherPart", [](Executable &e) { getLayout(e).set_global_shape(1, 7); }, "7 elements on 1 ranks are not 6 on each"},
    {"LayoutAxis", [](Executable &e) { getLayout(e).mutable_dims(0)->set_names(0, "cp"); }, "the mesh has no axis 'cp'"},
    {"LayoutAxisTwice", [](Executable &e) { getLayout(e).add_partial("tp"); }, "partial: the axis 'tp' occurs twice"},
    {"LayoutOfPort", [](Executable &e) { e.mutable_programs(0)->mutable_inputs(0)->mutable_layout()->clear_dims(); }, "inputs[0] 'input': layout"},
    {"PartialInput", [](Executable &e) {
       executable::Layout &layout = *e.mutable_programs(0)->mutable_inputs(0)->mutable_layout();
       layout.set_global_shape(0, 4);
       layout.mutable_dims(0)->clear_names();
       layout.add_partial("dp");
     }, "input 'input': a partial sum"},
    {"PartialStart", [](Executable &e) {
       getLayout(e).set_global_shape(0, 16);
       getLayout(e).mutable_dims(0)->mutable_names()->RemoveLast();
       getLayout(e).add_partial("tp");
     }, "a partial sum that starts with 'ones' instead of zeros"},
    {"InitializerAxis", [](Executable &e) { e.mutable_variables(0)->mutable_initializer()->add_axes("x"); }, "initializer: the mesh has no axis 'x'"},
    {"Kind", [](Executable &e) { getCollective(e, 0).set_kind("all_scatter"); }, "all_scatter: not a kind of collective"},
    {"NoAxes", [](Executable &e) { getCollective(e, 0).clear_axes(); }, "all_gather: no axes"},
    {"Axis", [](Executable &e) { getCollective(e, 0).set_axes(0, "ep"); }, "all_gather: the mesh has no axis 'ep'"},
    {"CollectiveAxisTwice", [](Executable &e) { getCollective(e, 0).add_axes("tp"); }, "the axis 'tp' occurs twice"},
    {"DataType", [](Executable &e) { getCollective(e, 0).clear_data_type(); }, "no valid data type"},
    {"Reduction", [](Executable &e) { getScatter(e).set_reduction("mean"); }, "the reduction 'mean' is not sum or max"},
    {"NoReduction", [](Executable &e) { getScatter(e).clear_reduction(); }, "the reduction '' is not"},
    {"NeedlessReduction", [](Executable &e) { getCollective(e, 0).set_reduction("sum"); }, "in what reduces nothing"},
    {"ReductionType", [](Executable &e) { getScatter(e).set_data_type(executable::I8); }, "cannot be reduced"},
    {"NeedlessShift", [](Executable &e) { getCollective(e, 0).set_shift(1); }, "all_gather: a shift of 1"},
    {"Shift", [](Executable &e) { getCollective(e, 4).set_shift(-3); }, "a shift of -3 in a group of 2"},
    {"NoParts", [](Executable &e) { getCollective(e, 0).clear_parts(); }, "no parts"},
    {"PartShape", [](Executable &e) { getCollective(e, 0).mutable_parts(1)->set_shape(0, 0); }, "parts[1]: no valid shape"},
    {"HugePart", [](Executable &e) { getCollective(e, 0).mutable_parts(1)->set_shape(0, int64_t(1) << 44); }, "no valid shape"},
    {"PartDim", [](Executable &e) { getCollective(e, 0).mutable_parts(0)->set_dim(2); }, "parts[0]: dimension 2 of 2"},
    {"NegativeDim", [](Executable &e) { getCollective(e, 0).mutable_parts(0)->set_dim(-1); }, "dimension -1 of 2"},
    {"SecondDim", [](Executable &e) { getCollective(e, 3).mutable_parts(0)->set_second_dim(5); }, "dimension 5 of 2"},
    {"NeedlessDim", [](Executable &e) { getCollective(e, 4).mutable_parts(0)->set_dim(1); }, "dimension 1 of 2"},
    {"NeedlessSecondDim", [](Executable &e) { getCollective(e, 0).mutable_parts(0)->set_second_dim(1); }, "dimension 1 of 2"},
    {"Indivisible", [](Executable &e) { getScatter(e).mutable_parts(0)->set_shape(0, 6); }, "6 elements of dimension 0 do not divide by 4 ranks"},
    {"SourceOutside", [](Executable &e) { getScatter(e).mutable_parts(0)->mutable_source()->set_offset(1 << 20); }, "parts[0], source: "},
    {"TargetOutside", [](Executable &e) { getCollective(e, 0).mutable_parts(0)->mutable_target()->set_offset(e.memory().arena() - 192 + 64); },
     "parts[0], target: 192 bytes at offset"},
    {"TargetUnaligned", [](Executable &e) { getCollective(e, 0).mutable_parts(0)->mutable_target()->set_offset(2); }, "target: offset 2"},
    {"OutsideArgument", [](Executable &e) {
       e.mutable_functions(0)->mutable_actions(1)->mutable_collective()->mutable_parts(0)->mutable_target()->set_offset(256);
     }, "actions[1]: block: parts[0], target: 48 bytes at offset 256 lie outside the scratch region"},
    {"NegativeTicket", [](Executable &e) { getCollective(e, 0).set_ticket(-1); }, "ticket -1"},
    {"TicketTwice", [](Executable &e) { getScatter(e).set_ticket(1); }, "ticket 1 is in flight already"},
    {"NoWait", [](Executable &e) { e.mutable_programs(0)->mutable_actions()->DeleteSubrange(2, 1); }, "never waits for ticket 1"},
    {"OtherTicket", [](Executable &e) { e.mutable_programs(0)->mutable_actions(2)->mutable_wait()->set_ticket(3); }, "ticket 3 is not in flight"},
    {"WaitTwice", [](Executable &e) { addWait(*e.mutable_programs(0)->mutable_actions(), 1); }, "actions[5]: wait: ticket 1 is not in flight"},
    {"NoWaitInFunction", [](Executable &e) { e.mutable_functions(0)->mutable_actions()->RemoveLast(); }, "functions[0] 'exchange' never waits for ticket 1"},
    {"LoopLeavesTicket", [](Executable &e) {
       e.mutable_programs(0)->mutable_actions(1)->mutable_loop()->mutable_body()->RemoveLast();
     }, "change from one iteration of the loop"},
};

INSTANTIATE_TEST_SUITE_P(All, ValidationMeshDamage, testing::ValuesIn(meshDamages),
                         [](const auto &info) { return std::string(info.param.name); });

TEST(Types, SizesDoNotOverflow) {
  EXPECT_EQ(getByteSize(makeType(executable::BF16, {3, 5})), 30);
  EXPECT_EQ(getByteSize(makeType(executable::F64, {})), 8);
  EXPECT_FALSE(getByteSize(makeType(executable::F32, {0})));
  EXPECT_FALSE(getByteSize(makeType(executable::F32, {int64_t(1) << 32, int64_t(1) << 32})));
  EXPECT_FALSE(getByteSize(makeType(executable::F32, {maximumBytes / 2})));
}

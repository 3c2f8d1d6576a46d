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

/// A program with a loop of 4 calls on slices of x and y, and a function with scratch.
static Executable makeLoopExecutable() {
  ExecutableBuilder builder;
  executable::TensorType vector = makeType(executable::F32, {24});
  int kernel = builder.addKernel("test_double", {24}, {vector, vector});
  executable::Function &function = builder.addFunction("quadruple", 2, 128);
  addLaunch(*function.mutable_actions(), kernel, {inArgument(0), inScratch(0)});
  addLaunch(*function.mutable_actions(), kernel, {inScratch(0), inArgument(1)});
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
  return builder.finish();
}

static executable::Call &getCall(Executable &executable) {
  return *executable.mutable_programs(0)->mutable_actions(0)->mutable_loop()->mutable_body(0)->mutable_call();
}

static executable::Launch &getLaunch(Executable &executable, int i) {
  return *executable.mutable_functions(0)->mutable_actions(i)->mutable_launch();
}

TEST(Validation, AcceptsAWholeExecutable) {
  Error error = validateExecutable(makeLoopExecutable());
  EXPECT_FALSE(error) << error.getMessage();
  error = validateExecutable(makeBigramExecutable());
  EXPECT_FALSE(error) << error.getMessage();
}

namespace {

struct Damage {
  const char *name;
  std::function<void(Executable &)> apply;
  const char *message;
};

class ValidationDamage : public testing::TestWithParam<Damage> {};

} // namespace

TEST_P(ValidationDamage, IsRefused) {
  Executable executable = makeLoopExecutable();
  GetParam().apply(executable);
  Error error = validateExecutable(executable);
  ASSERT_TRUE(error);
  EXPECT_EQ(error.getKind(), ErrorKind::Failure);
  EXPECT_NE(error.getMessage().find(GetParam().message), std::string::npos) << error.getMessage();
  EXPECT_EQ(error.getMessage().find('\n'), std::string::npos);
}

static const Damage damages[] = {
    {"FormatVersion", [](Executable &e) { e.set_format_version(99); }, "format version 99"},
    {"Target", [](Executable &e) { e.set_target("gfx942"); }, "compiled for 'gfx942'"},
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

TEST(Types, SizesDoNotOverflow) {
  EXPECT_EQ(getByteSize(makeType(executable::BF16, {3, 5})), 30);
  EXPECT_EQ(getByteSize(makeType(executable::F64, {})), 8);
  EXPECT_FALSE(getByteSize(makeType(executable::F32, {0})));
  EXPECT_FALSE(getByteSize(makeType(executable::F32, {int64_t(1) << 32, int64_t(1) << 32})));
  EXPECT_FALSE(getByteSize(makeType(executable::F32, {maximumBytes / 2})));
}

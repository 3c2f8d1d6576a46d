//===- TinyExecutable.h - Executables made by hand ------------------------===//

#ifndef PRIMUS_TESTS_RUNTIME_TINYEXECUTABLE_H
#define PRIMUS_TESTS_RUNTIME_TINYEXECUTABLE_H

#include "runtime/executable/Executable.pb.h"

#include <cstdint>
#include <string>
#include <vector>

namespace primus::test {

/// Builds an executable around the kernels of TestKernels.cpp, or those of GpuKernels.c for a GPU.
class ExecutableBuilder {
public:
  explicit ExecutableBuilder(const std::string &target = "cpu");

  using Shape = std::vector<int64_t>;

  /// Index of a new kernel.
  int addKernel(const std::string &symbol, Shape grid, const std::vector<executable::TensorType> &types);
  executable::Program &addProgram(const std::string &name);
  executable::Function &addFunction(const std::string &name, int numArguments, int64_t scratchBytes = 0);

  /// Each takes the next aligned piece of the arena and returns its offset.
  int64_t addVariable(const std::string &name, Shape shape, const std::string &kind, double value = 0);
  int64_t addInput(executable::Program &program, const std::string &name, executable::DataType type, Shape shape);
  int64_t addOutput(executable::Program &program, const std::string &name, executable::DataType type, Shape shape);
  int64_t allocate(int64_t bytes);

  /// The executable, with memory figures and code.
  executable::Executable &finish();

  executable::Executable result;

private:
  int64_t arena = 0;
};

executable::TensorType makeType(executable::DataType type, std::vector<int64_t> shape);

/// References to the arena, an argument and the scratch region.
executable::Reference inArena(int64_t offset, int64_t stride = 0);
executable::Reference inArgument(int argument, int64_t offset = 0);
executable::Reference inScratch(int64_t offset);

/// Appends a launch; `Parent` is a program, function or loop's list of actions.
void addLaunch(google::protobuf::RepeatedPtrField<executable::Action> &actions, int kernel,
               const std::vector<executable::Reference> &operands);

/// Puts the executable on a mesh.
void setMesh(executable::Executable &executable, const std::vector<std::pair<std::string, int64_t>> &axes);

/// Makes the layout of a variable or port whose part on each rank has the shape that is there: `dims` are the axes of each
/// dimension.
void setLayout(const executable::Executable &executable, const executable::TensorType &type, executable::Layout &layout,
               const std::vector<std::vector<std::string>> &dims, const std::vector<std::string> &partial = {});

/// Appends a collective of f32 and returns it; a part and what differs from the defaults are the caller's.
executable::Collective &addCollective(google::protobuf::RepeatedPtrField<executable::Action> &actions,
                                      const std::string &kind, const std::vector<std::string> &axes, int64_t ticket = 0);
executable::Part &addPart(executable::Collective &collective, const std::vector<int64_t> &shape,
                          const executable::Reference &source, const executable::Reference &target);
void addWait(google::protobuf::RepeatedPtrField<executable::Action> &actions, int64_t ticket);

/// Adds a mesh of 2 x 2 ranks, a variable split over it, and a program with collectives of every kind, two at a time in
/// flight, some of them in a loop and in a function.
void addCollectives(ExecutableBuilder &builder);

/// A function with scratch, which calls the kernel twice, and a program "main" with a loop of 4 calls on slices of its input
/// and output, a copy and a fill. Two variables.
void addLoopProgram(ExecutableBuilder &builder, const std::string &kernel);

/// A bigram model over bytes in batches of 2 x 32, with the programs train_step, forward and sample. Loss falls.
executable::Executable makeBigramExecutable(const std::string &target = "cpu");

/// The same model without sampling on a mesh of dp ranks, with 2 sequences on each. Gradients are reduced in the background
/// while the kernel test_fault runs, whose environment variable makes a rank fail.
executable::Executable makeRankedBigramExecutable(int ranks, const std::string &target = "cpu");

/// The same model as a pipeline of copies of it, without evaluation: each rank sends its gradient to the next one and goes on while it waits for that of the
/// rank before it. The kernel test_fault is between them.
executable::Executable makePipelinedBigramExecutable(int ranks);

/// The bytes of a file, which must exist.
std::string readFile(const std::string &path);
void writeFile(const std::string &path, const std::string &bytes);

/// A new empty folder, removed at the end of the test.
class TemporaryFolder {
public:
  TemporaryFolder();
  ~TemporaryFolder();
  std::string operator/(const std::string &name) const { return path + "/" + name; }
  const std::string &str() const { return path; }

private:
  std::string path;
};

} // namespace primus::test

#endif // PRIMUS_TESTS_RUNTIME_TINYEXECUTABLE_H

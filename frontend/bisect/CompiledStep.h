//===- CompiledStep.h - Kernels on the interpreter's values -------*- C++ -*-===//
//
// The compiled training step, run twice against the interpreter's run of phase `fused`: as a whole, and kernel by kernel. In the second run
// every kernel finds the interpreter's values in its input buffers, so that rounding errors do not pile up and each kernel
// answers for itself. Before that a buffer is read: whoever computed its value was judged already, so that another value in it means that
// the buffer was overwritten or is the wrong one.
//
//===----------------------------------------------------------------------===//

#pragma once

#include "frontend/bisect/Finding.h"
#include "frontend/bisect/Trace.h"
#include "runtime/devices/Device.h"
#include "runtime/executable/Executable.pb.h"
#include "runtime/executor/Flatten.h"

#include <memory>
#include <optional>

namespace primus::bisect {

/// What a comparison of kernels has seen.
struct KernelCheck {
  /// Largest relative difference of any fusion's result.
  double relative = 0;
  int64_t kernels = 0;
  /// Set where a kernel's result or input is beyond the tolerance; its pass is the caller's to fill in.
  std::optional<Finding> finding;
};

/// Of a tensor of 8-bit floats: neighbours of f8E5M2 are up to a quarter apart, and where a value lies between two of them, any other rounding of it may
/// decide.
inline constexpr double kTolerance8Bits = 0.25;

/// Tolerance of one kernel's tensor: sums in f32 in another order than the interpreter's in f64; with numbers of fewer `bits` in the kernel, their
/// rounding, which kernels may skip or repeat between the ops of one fusion.
double getKernelTolerance(unsigned bits);

/// Bits of the narrowest floats within an op; 64 if there are none.
unsigned getNarrowestFloat(mlir::Operation *op);

class CompiledStep {
public:
  /// Compiles the kernels of a planned module in phase `step` for this machine and loads them. Errors are diagnostics.
  static mlir::FailureOr<std::unique_ptr<CompiledStep>> create(mlir::ModuleOp module, const std::string &kernelCache);

  /// Runs the steps as they are. Variables that the step leaves in no defined state (gradients) are missing from the trace.
  mlir::FailureOr<Trace> run(const StepSetup &setup);
  /// Runs them kernel by kernel against `trace`, which the module `fused` has left in faithful mode. `tolerance` 0: getKernelTolerance.
  mlir::FailureOr<KernelCheck> compareKernels(mlir::ModuleOp fused, const Trace &trace, const StepSetup &setup, double tolerance);

private:
  friend class KernelWalk;
  explicit CompiledStep(mlir::ModuleOp module) : module(module) {}

  mlir::LogicalResult load(const std::string &kernelCache);
  mlir::LogicalResult initialize(uint64_t seed);
  mlir::LogicalResult writeInputs(const StepSetup &setup, int64_t step);
  /// Adds what a step has left to the trace.
  void readOutputs(Trace &trace);
  void readVariables(Trace &trace);

  mlir::ModuleOp module;
  executable::Executable executable;
  const executable::Program *program = nullptr;
  std::unique_ptr<runtime::Device> device;
  std::byte *arena = nullptr;
  runtime::FlatProgram flat;
  std::unique_ptr<runtime::CommandList> commands;
};

} // namespace primus::bisect

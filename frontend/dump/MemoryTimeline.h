//===- MemoryTimeline.h - What lies in the arena, and when --------*- C++ -*-===//

#pragma once

#include "mlir/IR/BuiltinOps.h"

#include <nlohmann/json.hpp>

#include <array>
#include <string>
#include <vector>

namespace primus::cli {

/// What memory is for. Variables have the first four purposes; the rest lives within a step.
enum class Purpose { Parameters, Optimizer, Gradients, Constants, Inputs, Weights, Activations, ActivationGradients, Scratch, Other };
inline constexpr size_t kNumPurposes = 10;

/// A buffer in the arena or, of a function's temporaries, in its scratch region.
struct TimelineBuffer {
  /// The layer's instance, e.g. layers.3; empty for a function's temporaries.
  std::string instance;
  /// Name within the instance, e.g. attention.q.weight.
  std::string name;
  /// e.g. 8x256x128xbf16.
  std::string type;
  Purpose purpose;
  /// Bytes from the start of the arena or scratch region.
  int64_t bytes, offset;
  /// First and last action (of a program) or launch (of a function) during which it holds a value.
  unsigned first = 0, last = 0;

  bool isLive(unsigned at) const { return first <= at && at <= last; }
};

/// The launches of a function and its temporaries.
struct FunctionTimeline {
  std::string name;
  /// Kernels, or copy and fill.
  std::vector<std::string> launches;
  std::vector<TimelineBuffer> buffers;

  /// Bytes of the temporaries that are live during a launch.
  int64_t countScratch(unsigned launch) const;
};

/// The actions of a program and all that is not a variable.
struct ProgramTimeline {
  struct Action {
    /// call, launch, copy or fill.
    std::string kind;
    /// A function's or kernel's name.
    std::string callee;
    std::string instance;
  };
  /// Actions [first, last] run once per microbatch.
  struct Loop {
    unsigned first, last;
    int64_t count;
  };
  std::string name;
  /// As the memory plan says.
  int64_t arena;
  std::vector<Action> actions;
  std::vector<Loop> loops;
  std::vector<TimelineBuffer> buffers;
};

/// A moment of a program: an action and, within a call, a launch.
struct MemoryPoint {
  unsigned action = 0, launch = 0;
  /// Bytes by purpose.
  std::array<int64_t, kNumPurposes> live{};
  /// Where the last live buffer ends, with its alignment: what is not live before it lies in gaps.
  int64_t extent = 0;

  int64_t sum() const;
};

/// Memory over a step, from a module in phase `step`.
struct MemoryTimeline {
  std::vector<TimelineBuffer> variables;
  std::vector<FunctionTimeline> functions;
  std::vector<ProgramTimeline> programs;

  static MemoryTimeline of(mlir::ModuleOp module);

  /// All moments of a program, in order; the body of a loop occurs once.
  std::vector<MemoryPoint> getPoints(const ProgramTimeline &program) const;
  /// For the page: strings are numbers of an entry of `strings`, buffers are arrays in the order of TimelineBuffer's fields. A program's `live` are
  /// bytes by purpose per action, without scratch; a function's `scratch` are bytes per launch; `peak` is the moment with most live bytes, and in
  /// `bytes` the largest extent.
  nlohmann::ordered_json toJson() const;
};

} // namespace primus::cli

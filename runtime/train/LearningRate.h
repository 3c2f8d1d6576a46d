//===- LearningRate.h - Learning rates over a run -------------------------===//

#ifndef PRIMUS_RUNTIME_TRAIN_LEARNINGRATE_H
#define PRIMUS_RUNTIME_TRAIN_LEARNINGRATE_H

#include "runtime/executable/Executable.pb.h"
#include "runtime/support/Error.h"

#include <cstdint>

namespace primus::runtime {

/// Megatron's schedule (OptimizerParamScheduler): linear warm-up, a stable phase, and decay.
class LearningRateSchedule {
public:
  static Expected<LearningRateSchedule> create(const executable::Training &training);

  /// The rate of the step before which `stepsDone` steps were done; 0 for the first.
  double get(int64_t stepsDone) const;

private:
  enum class Decay { Constant, Linear, Cosine, Sqrt, Exponential };

  double decayed(double progress) const;

  double maximum = 0;
  double minimum = 0;
  double warmupInit = 0;
  int64_t warmupSteps = 0;
  int64_t stableSteps = 0;
  int64_t decaySteps = 0;
  Decay decay = Decay::Constant;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_TRAIN_LEARNINGRATE_H

//===- Trainer.h - The training loop --------------------------------------===//

#ifndef PRIMUS_RUNTIME_TRAIN_TRAINER_H
#define PRIMUS_RUNTIME_TRAIN_TRAINER_H

#include "runtime/data/DataSet.h"
#include "runtime/executor/Executor.h"
#include "runtime/metrics/MetricsFile.h"
#include "runtime/train/Evaluator.h"
#include "runtime/train/LearningRate.h"

#include <chrono>
#include <optional>

namespace primus::runtime {

/// Checks the figures of Executable.training that the loop relies on.
Error checkTraining(const executable::Training &training);

/// Runs Executable.training: steps, evaluations, metrics, and the closing summary. Progress goes to the log.
class Trainer {
public:
  /// `executor` has initialised variables and outlives the trainer, like `data` and `metrics` (null: no file).
  static Expected<std::unique_ptr<Trainer>> create(Executor &executor, DataSet &data, MetricsFile *metrics);

  /// Trains until all steps are done, the time is over or a signal comes.
  Error run();

  /// One step, with its samples read from the data. Allocates nothing.
  Error runStep(StepMetrics &metrics);

  /// Steps done so far.
  int64_t getStepsDone() const { return stepsDone; }

private:
  using Clock = std::chrono::steady_clock;

  Trainer(Executor &executor, DataSet &data, MetricsFile *metrics, LearningRateSchedule schedule)
      : executor(executor), data(data), metricsFile(metrics), training(executor.getExecutable().training()),
        schedule(schedule) {}

  Error findPorts();
  Error readSamples();
  Error evaluateAfterStep(StepMetrics &metrics);
  Error close();
  Error compareWithByteModel(double loss);

  double getElapsedSeconds() const;
  /// By the pace so far, and no longer than the time limit allows.
  double getSecondsLeft() const;
  bool isTimeOver() const;

  Executor &executor;
  DataSet &data;
  MetricsFile *metricsFile;
  const executable::Training &training;
  LearningRateSchedule schedule;
  std::optional<Evaluator> evaluator;

  int program = -1;
  Tensor tokensInput, labelsInput, learningRateInput, biasCorrectionInputs[2], lossOutput, gradNormOutput;
  std::vector<int32_t> tokens, labels;

  int64_t stepsDone = 0;
  double stepSeconds = 0; ///< of all steps, without evaluations
  std::optional<double> validationLoss; ///< after the last step, if it was evaluated then
  Clock::time_point start;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_TRAIN_TRAINER_H

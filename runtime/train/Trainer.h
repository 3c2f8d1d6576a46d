//===- Trainer.h - The training loop --------------------------------------===//

#ifndef PRIMUS_RUNTIME_TRAIN_TRAINER_H
#define PRIMUS_RUNTIME_TRAIN_TRAINER_H

#include "runtime/data/DataSet.h"
#include "runtime/executor/Executor.h"
#include "runtime/metrics/EventFile.h"
#include "runtime/metrics/MetricsFile.h"
#include "runtime/train/CheckpointSaver.h"
#include "runtime/train/Evaluator.h"
#include "runtime/train/LearningRate.h"
#include "runtime/train/TokenInputs.h"

#include <chrono>
#include <optional>

namespace primus::runtime {

/// Checks the figures of Executable.training that the loop relies on.
Error checkTraining(const executable::Training &training);

/// Runs Executable.training: steps, evaluations, metrics, and the closing summary. Progress goes to the log. All ranks do
/// it together, and end after the same step; the log of rank 0 speaks for all.
class Trainer {
public:
  /// `executor` has initialised variables and outlives the trainer, like `data` and `metrics` (null: no file).
  /// Training goes on from `state`. `saver` is null where no checkpoints are written.
  static Expected<std::unique_ptr<Trainer>> create(Executor &executor, DataSet &data, MetricsFile *metrics,
                                                   CheckpointState state = {}, CheckpointSaver *saver = nullptr);

  /// Metrics go there too, as often as Executable.training says. The file outlives the trainer.
  void setEventFile(EventFile &file) { eventFile = &file; }

  /// Trains until all steps are done, the time is over, exit_interval says so, or a signal comes.
  Error run();

  /// One step, with its samples read from the data. Allocates nothing.
  Error writeInputs(const StepMetrics &metrics);
  Error runStep(StepMetrics &metrics);
  /// Where a step's loss or gradient norm is no number: finds out where that came up; an error, unless the step is skipped.
  Error handleNonFinite(const StepMetrics &metrics, const StepMetrics &previous);

  /// Steps done so far, with those before a checkpoint.
  int64_t getStepsDone() const { return state.step; }

private:
  using Clock = std::chrono::steady_clock;

  /// Why training ends before all steps are done.
  enum class Stop { None, Signal, TimeLimit, ExitInterval };

  Trainer(Executor &executor, DataSet &data, MetricsFile *metrics, CheckpointState state, CheckpointSaver *saver,
          LearningRateSchedule schedule)
      : executor(executor), data(data), metricsFile(metrics), saver(saver),
        training(executor.getExecutable().training()), schedule(schedule), state(std::move(state)),
        firstStep(this->state.step) {}

  Error findPorts();
  Error evaluateAfterStep(StepMetrics &metrics);
  /// Saves this step, unless that has been done or is not wanted at all.
  Error save();
  /// Waits for what is being saved, which is of use however the run ends. Returns the error that ends it, or else what
  /// failed now.
  Error finishSaving(Error ending);
  void logStop(Stop stop) const;
  /// Makes one decision of what the ranks see: a signal that any of them got, and rank 0's clock.
  Expected<Stop> agreeOnStop();
  Error close();
  Error compareWithByteModel(double loss);

  double getElapsedSeconds() const;
  /// By the pace so far, and no longer than the time limit allows.
  double getSecondsLeft() const;
  bool isTimeOver() const;
  bool isDone() const { return state.step >= training.train_steps(); }
  Stop findStop() const;
  bool isMainRank() const { return executor.getRank() == 0; }
  /// By this process.
  int64_t getOwnSteps() const { return state.step - firstStep; }

  Executor &executor;
  DataSet &data;
  MetricsFile *metricsFile;
  EventFile *eventFile = nullptr;
  CheckpointSaver *saver;
  const executable::Training &training;
  LearningRateSchedule schedule;
  std::optional<Evaluator> evaluator;

  int program = -1;
  Tensor tokensInput, labelsInput, learningRateInput, biasCorrectionInputs[2], lossOutput, gradNormOutput;
  BatchSlice batch;

  CheckpointState state;
  int64_t firstStep;
  int signal = 0; ///< that ended the run
  double stepSeconds = 0; ///< of all own steps, without evaluations
  std::optional<double> validationLoss; ///< after the last step, if it was evaluated then
  Clock::time_point start;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_TRAIN_TRAINER_H

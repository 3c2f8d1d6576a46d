//===- Trainer.cpp - The training loop ------------------------------------===//

#include "runtime/train/Trainer.h"

#include "runtime/metrics/Progress.h"
#include "runtime/train/Interrupt.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

using namespace primus;
using namespace primus::runtime;

Error primus::runtime::checkTraining(const executable::Training &training) {
  struct {
    const char *name;
    int64_t value, smallest, largest;
  } figures[] = {
      {"train_steps", training.train_steps(), 0, int64_t(1) << 40},
      {"micro_batch_size", training.micro_batch_size(), 1, 1 << 24},
      {"microbatches", training.microbatches(), 1, 1 << 24},
      {"sequence_length", training.sequence_length(), 1, 1 << 24},
      {"vocabulary", training.vocabulary(), 1, INT32_MAX},
      {"eval_interval", training.eval_interval(), 0, INT64_MAX},
      {"eval_steps", training.eval_steps(), 0, 1 << 24},
      {"log_interval", training.log_interval(), 0, INT64_MAX},
      {"exit_interval", training.exit_interval(), 0, INT64_MAX},
      {"checkpoint.interval", training.checkpoint().interval(), 0, INT64_MAX},
      {"checkpoint.keep", training.checkpoint().keep(), 0, INT64_MAX},
      {"checkpoint.retain_interval", training.checkpoint().retain_interval(), 0, INT64_MAX},
      {"checkpoint.load_step", training.checkpoint().load_step(), 0, INT64_MAX},
      {"sample_bytes", training.sample_bytes(), 0, 1 << 24},
  };
  for (const auto &figure : figures)
    if (figure.value < figure.smallest || figure.value > figure.largest)
      return Error::failure(fmt::format("training: {} is {}, which is not between {} and {}", figure.name, figure.value,
                                        figure.smallest, figure.largest));
  for (double beta : {training.adam_beta1(), training.adam_beta2()})
    if (!(beta >= 0 && beta < 1))
      return Error::failure(fmt::format("training: an Adam beta of {}, which is not in [0, 1)", beta));
  return Error::success();
}

Expected<std::unique_ptr<Trainer>> Trainer::create(Executor &executor, DataSet &data, MetricsFile *metrics,
                                                   CheckpointState state, CheckpointSaver *saver) {
  const executable::Training &training = executor.getExecutable().training();
  if (Error error = checkTraining(training))
    return error;
  Expected<LearningRateSchedule> schedule = LearningRateSchedule::create(training);
  if (!schedule)
    return schedule.takeError();
  std::unique_ptr<Trainer> trainer(new Trainer(executor, data, metrics, std::move(state), saver, *schedule));
  if (Error error = trainer->findPorts())
    return error;
  if (data.validation && training.eval_steps() > 0) {
    Expected<Evaluator> evaluator = Evaluator::create(executor, *data.validation);
    if (!evaluator)
      return evaluator.takeError();
    trainer->evaluator.emplace(std::move(*evaluator));
  }
  return trainer;
}

Error Trainer::findPorts() {
  program = executor.findProgram("train_step");
  if (program < 0)
    return Error::failure("the executable has no program 'train_step'");
  Expected<TokenInputs> inputs = findTokenInputs(executor, program, 3);
  if (!inputs)
    return inputs.takeError();
  tokensInput = inputs->tokens;
  labelsInput = inputs->labels;
  batch = std::move(inputs->batch);
  struct {
    Tensor &tensor;
    Expected<Tensor> found;
  } ports[] = {
      {learningRateInput, executor.findInput(program, "learning_rate", executable::F32, {})},
      {biasCorrectionInputs[0], executor.findInput(program, "bias_correction1", executable::F32, {})},
      {biasCorrectionInputs[1], executor.findInput(program, "bias_correction2", executable::F32, {})},
      {lossOutput, executor.findOutput(program, "loss", executable::F32, {})},
      {gradNormOutput, executor.findOutput(program, "grad_norm", executable::F32, {})},
  };
  for (auto &port : ports) {
    if (!port.found)
      return port.found.takeError();
    port.tensor = *port.found;
  }
  return Error::success();
}

//===----------------------------------------------------------------------===//
// One step
//===----------------------------------------------------------------------===//

Error Trainer::writeInputs(const StepMetrics &metrics) {
  auto step = static_cast<double>(state.optimizerSteps);
  auto learningRate = static_cast<float>(metrics.learningRate);
  float biasCorrections[2] = {static_cast<float>(1 - std::pow(training.adam_beta1(), step)),
                              static_cast<float>(1 - std::pow(training.adam_beta2(), step))};
  const std::pair<const Tensor &, const void *> inputs[] = {{tokensInput, batch.getTokens().data()},
                                                            {labelsInput, batch.getLabels().data()},
                                                            {learningRateInput, &learningRate},
                                                            {biasCorrectionInputs[0], &biasCorrections[0]},
                                                            {biasCorrectionInputs[1], &biasCorrections[1]}};
  for (const auto &[tensor, values] : inputs)
    if (Error error = executor.write(tensor, values))
      return error;
  return Error::success();
}

Error Trainer::runStep(StepMetrics &metrics) {
  Clock::time_point begin = Clock::now();
  if (Error error = batch.read(data.training, state.samples))
    return error;
  state.samples += batch.getNumSequences();
  ++state.optimizerSteps;
  metrics.learningRate = schedule.get(state.step);
  if (Error error = writeInputs(metrics))
    return error;
  if (Error error = executor.run(program))
    return error;
  metrics.step = ++state.step;
  Expected<float> loss = executor.readScalar(lossOutput), gradNorm = executor.readScalar(gradNormOutput);
  if (!loss)
    return loss.takeError();
  if (!gradNorm)
    return gradNorm.takeError();
  metrics.loss = *loss;
  metrics.gradNorm = *gradNorm;
  metrics.tokens = batch.getNumTokens();
  metrics.stepSeconds = std::chrono::duration<double>(Clock::now() - begin).count();
  stepSeconds += metrics.stepSeconds;
  return Error::success();
}

Error Trainer::handleNonFinite(const StepMetrics &metrics, const StepMetrics &previous) {
  if (std::isfinite(metrics.loss) && std::isfinite(metrics.gradNorm))
    return Error::success();
  bool isLoss = !std::isfinite(metrics.loss);
  std::string message = fmt::format("the {} of step {} is {}", isLoss ? "loss" : "gradient norm", metrics.step,
                                    isLoss ? metrics.loss : metrics.gradNorm);
  // Without a norm the step has changed nothing (graph.adamw), and can be run again.
  bool isSkipped = !std::isfinite(metrics.gradNorm);
  bool goesOn = isSkipped && training.skips_non_finite();
  if (!goesOn || previous.step == metrics.step - 1) {
    if (Error error = writeInputs(metrics))
      return error;
    Expected<std::string> where = executor.findNonFinite(program);
    if (!where)
      return where.takeError();
    message += fmt::format("; first: {}", *where);
  }
  if (goesOn) {
    --state.optimizerSteps;
    spdlog::warn("{}; the step is skipped", message);
    return Error::success();
  }
  if (previous.step > 0)
    message += fmt::format("; the loss of step {} was {:.4f} and its gradient norm {:.3f}", previous.step, previous.loss,
                           previous.gradNorm);
  return Error::failure(message + "; try a smaller learning rate, more warm-up or gradient clipping");
}

//===----------------------------------------------------------------------===//
// The loop
//===----------------------------------------------------------------------===//

double Trainer::getElapsedSeconds() const { return std::chrono::duration<double>(Clock::now() - start).count(); }

double Trainer::getSecondsLeft() const {
  double elapsed = getElapsedSeconds();
  double left = elapsed / static_cast<double>(getOwnSteps()) * static_cast<double>(training.train_steps() - state.step);
  if (training.time_limit_seconds() > 0)
    left = std::min(left, training.time_limit_seconds() - elapsed);
  return left;
}

bool Trainer::isTimeOver() const {
  // Another step like the average one would end too late.
  double step = stepSeconds / static_cast<double>(std::max<int64_t>(getOwnSteps(), 1));
  return training.time_limit_seconds() > 0 && getElapsedSeconds() + step > training.time_limit_seconds();
}

Trainer::Stop Trainer::findStop() const {
  if (InterruptHandler::getSignal())
    return Stop::Signal;
  if (isDone())
    return Stop::None;
  if (isTimeOver())
    return Stop::TimeLimit;
  bool isExit = training.exit_interval() > 0 && state.step % training.exit_interval() == 0;
  return isExit ? Stop::ExitInterval : Stop::None;
}

Expected<Trainer::Stop> Trainer::agreeOnStop() {
  Stop own = findStop();
  double votes[2] = {static_cast<double>(InterruptHandler::getSignal()), isMainRank() ? static_cast<double>(own) : 0};
  Communicator &communicator = executor.getCommunicator();
  if (communicator.getNumRanks() > 1)
    if (Error error = communicator.allReduce(votes, Reduction::Max))
      return error;
  signal = static_cast<int>(votes[0]);
  return signal ? Stop::Signal : static_cast<Stop>(votes[1]);
}

Error Trainer::evaluateAfterStep(StepMetrics &metrics) {
  validationLoss.reset();
  if (!evaluator || training.eval_interval() == 0 || state.step % training.eval_interval() != 0)
    return Error::success();
  Expected<double> loss = evaluator->run();
  if (!loss)
    return loss.takeError();
  validationLoss = metrics.validationLoss = *loss;
  return Error::success();
}

Error Trainer::save() {
  if (!saver)
    return Error::success();
  // A checkpoint's run has all its rows.
  if (metricsFile)
    if (Error error = metricsFile->sync())
      return error;
  return saver->save(state);
}

Error Trainer::finishSaving(Error ending) {
  Error unsaved = saver ? saver->finish() : Error::success();
  return ending ? std::move(ending) : std::move(unsaved);
}

void Trainer::logStop(Stop stop) const {
  std::string place = fmt::format("after step {} of {}", state.step, training.train_steps());
  std::string howOn = saver ? "; --resume auto goes on from there" : "; nothing is saved (save is not set)";
  if (stop == Stop::Signal)
    spdlog::info("stopped by {} {}{}", signal == SIGINT ? "SIGINT" : "SIGTERM", place, howOn);
  else if (stop == Stop::TimeLimit)
    spdlog::info("stopped {}: the time limit of {} is reached", place, formatDuration(training.time_limit_seconds()));
  else if (stop == Stop::ExitInterval)
    spdlog::info("stopped {}: exit_interval is {}{}", place, training.exit_interval(), howOn);
}

Error Trainer::run() {
  // Ranks of one process share its signals.
  std::optional<InterruptHandler> interrupts;
  if (isMainRank() || executor.getCommunicator().getName() != "local")
    interrupts.emplace();
  start = Clock::now();
  StepMetrics previous;
  Stop stop = Stop::None;
  if (isDone())
    spdlog::info("all {} steps are done already", training.train_steps());
  while (!isDone() && stop == Stop::None) {
    StepMetrics metrics;
    if (Error error = runStep(metrics))
      return error;
    Error diverged = handleNonFinite(metrics, previous);
    if (!diverged)
      if (Error error = evaluateAfterStep(metrics))
        return error;
    if (metricsFile)
      if (Error error = metricsFile->append(metrics))
        return error;
    if (eventFile && state.step % std::max<int64_t>(training.tensorboard_interval(), 1) == 0)
      if (Error error = eventFile->append(metrics))
        return error;
    if (diverged)
      return finishSaving(std::move(diverged));
    Expected<Stop> agreed = agreeOnStop();
    if (!agreed)
      return agreed.takeError();
    stop = *agreed;
    bool isLast = stop != Stop::None || isDone();
    if (isLast || (training.log_interval() > 0 && state.step % training.log_interval() == 0))
      spdlog::info(formatProgress(metrics, training.train_steps(), isLast ? 0 : getSecondsLeft()));
    if (metrics.validationLoss)
      spdlog::info("step {}  validation loss {:.4f}", state.step, *metrics.validationLoss);
    if (std::isfinite(metrics.gradNorm))
      previous = metrics;
    if (saver)
      if (Error error = saver->poll())
        return error;
    bool isSaved = (saver && saver->isDue(state.step)) || (isDone() && !training.checkpoint().skip_last());
    if (!isSaved)
      continue;
    if (Error error = save())
      return error;
    // Saving takes time, in which a signal may come.
    if (stop == Stop::None)
      agreed = agreeOnStop();
    if (!agreed)
      return agreed.takeError();
    stop = *agreed;
  }
  if (stop != Stop::None)
    if (Error error = save())
      return error;
  if (Error error = finishSaving(Error::success()))
    return error;
  logStop(stop);
  // Whoever sends a signal wants the process to end now.
  return stop == Stop::Signal ? Error::success() : close();
}

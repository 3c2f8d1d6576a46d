//===- Closing.cpp - The end of a training run ----------------------------===//

#include "runtime/metrics/ByteModel.h"
#include "runtime/metrics/Progress.h"
#include "runtime/train/TextSampler.h"
#include "runtime/train/Trainer.h"

#include <algorithm>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

using namespace primus::runtime;

/// Counts the pairs of neighbours in the training text.
static ByteModel countByteModel(const Samples &samples) {
  ByteModel model;
  constexpr int64_t pieceTokens = 1 << 16;
  std::vector<int32_t> piece;
  // Neighbouring pieces share one token, so that no pair is lost between them.
  for (int64_t begin = samples.getBegin(); begin + 1 < samples.getEnd(); begin += pieceTokens - 1) {
    piece.resize(static_cast<size_t>(std::min(pieceTokens, samples.getEnd() - begin)));
    samples.getSource().read(begin, piece);
    for (size_t i = 1; i < piece.size(); ++i)
      model.count(static_cast<uint8_t>(piece[i - 1]), static_cast<uint8_t>(piece[i]));
  }
  model.finish();
  return model;
}

Error Trainer::compareWithByteModel(double loss) {
  Expected<double> byteLoss = evaluator->run(countByteModel(data.training));
  if (!byteLoss)
    return byteLoss.takeError();
  spdlog::info("order-1 byte model's loss on the same text: {:.4f} (the model is {:.4f} {})", *byteLoss,
               std::abs(*byteLoss - loss), loss < *byteLoss ? "better" : "worse");
  return Error::success();
}

Error Trainer::close() {
  if (evaluator && !validationLoss) {
    Expected<double> loss = evaluator->run();
    if (!loss)
      return loss.takeError();
    validationLoss = *loss;
  }
  double elapsed = getElapsedSeconds();
  double tokensPerSecond =
      stepSeconds > 0 ? static_cast<double>(getOwnSteps()) * static_cast<double>(batch.getNumTokens()) / stepSeconds : 0;
  spdlog::info("done: {} steps, {} tokens in {} ({:.0f} tokens/s while stepping)", getOwnSteps(),
               getOwnSteps() * batch.getNumTokens(), formatDuration(elapsed), tokensPerSecond);
  bool isText = data.training.getSource().isText();
  if (validationLoss) {
    spdlog::info("validation loss {:.4f} ({} held-out sequences of {} tokens)", *validationLoss,
                 std::min(evaluator->getNumSequences(), data.validation->getNumSequences()),
                 training.sequence_length());
    if (isText && isMainRank())
      if (Error error = compareWithByteModel(*validationLoss))
        return error;
  }
  if (!isText || training.sample_bytes() == 0)
    return Error::success();

  constexpr double temperature = 0.8;
  Expected<SampledText> text = sampleText(executor, data.validation ? *data.validation : data.training,
                                          training.sample_bytes(), temperature, training.seed());
  if (!text)
    return text.takeError();
  spdlog::info("a sample at temperature {}, after the prompt:\n--- prompt\n{}\n--- generated\n{}\n---", temperature,
               escapeBytes(text->prompt), escapeBytes(text->generated));
  return Error::success();
}

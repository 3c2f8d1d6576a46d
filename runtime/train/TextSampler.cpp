//===- TextSampler.cpp - Text by the trained model ------------------------===//

#include "runtime/train/TextSampler.h"

#include "runtime/data/RandomStreams.h"
#include "runtime/init/Philox.h"
#include "runtime/train/Interrupt.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

using namespace primus;
using namespace primus::runtime;

size_t primus::runtime::pickToken(std::span<const float> logits, double temperature, double uniform) {
  double largest = *std::max_element(logits.begin(), logits.end());
  auto weigh = [&](float logit) { return std::exp((logit - largest) / temperature); };
  double sum = 0;
  for (float logit : logits)
    sum += weigh(logit);
  double rest = uniform * sum;
  for (size_t i = 0; i < logits.size(); ++i) {
    rest -= weigh(logits[i]);
    if (rest <= 0)
      return i;
  }
  // Only rounding leads here.
  return static_cast<size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

namespace {

/// The program `sample` and its ports.
struct SampleProgram {
  int program = -1;
  Tensor tokens, position, logits;
  /// Of the context, in sequences and tokens; only the first sequence counts.
  int64_t batchSize = 0, sequenceLength = 0;
  /// The vocabulary with its padding.
  int64_t numLogits = 0;
};

} // namespace

/// The port of this name if it has two dimensions, else null.
static const executable::Port *findMatrix(const google::protobuf::RepeatedPtrField<executable::Port> &ports,
                                          std::string_view name) {
  for (const executable::Port &port : ports)
    if (port.name() == name && port.type().shape_size() == 2)
      return &port;
  return nullptr;
}

/// Finds the program and takes its sizes as the compiler chose them.
static Expected<SampleProgram> findSampleProgram(Executor &executor) {
  SampleProgram sample;
  sample.program = executor.findProgram("sample");
  if (sample.program < 0)
    return Error::failure("the executable has no program 'sample', which generates text");
  const executable::Program &program = executor.getExecutable().programs(sample.program);
  if (const executable::Port *port = findMatrix(program.inputs(), "tokens")) {
    sample.batchSize = port->type().shape(0);
    sample.sequenceLength = port->type().shape(1);
  }
  if (const executable::Port *port = findMatrix(program.outputs(), "logits"))
    sample.numLogits = port->type().shape(1);

  Expected<Tensor> tokens = executor.findInput(sample.program, "tokens", executable::I32,
                                               {sample.batchSize, sample.sequenceLength});
  if (!tokens)
    return tokens.takeError();
  Expected<Tensor> position = executor.findInput(sample.program, "position", executable::I32, {1});
  if (!position)
    return position.takeError();
  Expected<Tensor> logits = executor.findOutput(sample.program, "logits", executable::F32, {1, sample.numLogits});
  if (!logits)
    return logits.takeError();
  int64_t vocabulary = executor.getExecutable().training().vocabulary();
  if (sample.numLogits < vocabulary)
    return Error::failure(
        fmt::format("program 'sample' has {} logits for a vocabulary of {}", sample.numLogits, vocabulary));
  sample.tokens = *tokens;
  sample.position = *position;
  sample.logits = *logits;
  return sample;
}

Expected<SampledText> primus::runtime::sampleText(Executor &executor, const Samples &samples, int64_t numBytes,
                                                  double temperature, uint64_t seed) {
  const executable::Training &training = executor.getExecutable().training();
  Expected<SampleProgram> sample = findSampleProgram(executor);
  if (!sample)
    return sample.takeError();

  auto length = static_cast<size_t>(sample->sequenceLength);
  constexpr size_t promptBytes = 64;
  std::vector<int32_t> context(std::min(promptBytes, (length + 1) / 2));
  samples.getSource().read(samples.getBegin(), context);
  SampledText text;
  text.prompt.assign(context.begin(), context.end());

  std::vector<int32_t> tokens(static_cast<size_t>(sample->batchSize) * length);
  std::vector<float> logits(static_cast<size_t>(sample->numLogits));
  for (int64_t i = 0; i < numBytes && !InterruptHandler::getSignal(); ++i) {
    // A context that has outgrown the model goes on with its younger half.
    if (context.size() > length)
      context.erase(context.begin(), context.end() - static_cast<std::ptrdiff_t>((length + 1) / 2));
    std::copy(context.begin(), context.end(), tokens.begin());
    auto position = static_cast<int32_t>(context.size()) - 1;
    if (Error error = executor.write(sample->tokens, tokens.data()))
      return error;
    if (Error error = executor.write(sample->position, &position))
      return error;
    if (Error error = executor.run(sample->program))
      return error;
    if (Error error = executor.read(sample->logits, logits.data()))
      return error;
    PhiloxBlock block = philox(seed, textSamplingStream, static_cast<uint64_t>(i));
    size_t token = pickToken(std::span(logits).first(static_cast<size_t>(std::min<int64_t>(training.vocabulary(), 256))),
                             temperature, uniformFromBits(block[0], block[1]));
    context.push_back(static_cast<int32_t>(token));
    text.generated += static_cast<char>(token);
  }
  return text;
}
